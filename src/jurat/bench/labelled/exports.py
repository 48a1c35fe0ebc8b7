"""Labels as labelling tools export them, and as folders of images: Label Studio, CVAT, class folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

from jurat.bench.labelled.ratings import SAFE, CellProblem, LabelNames, Rating, Ratings
from jurat.errors import JuratError
from jurat.media.formats import IMAGE_SUFFIXES
from jurat.metrics.metric_rows import RowTable
from jurat.text import one_line, reason

_IMAGES = ("image", "img", "file", "path", "url")
_SHAPES = ("tag", "box", "polygon", "polyline", "points", "ellipse", "mask", "cuboid")
"""XML elements of CVAT that carry a label."""


def is_label_studio(table: RowTable) -> bool:
    """Whether rows are tasks of Label Studio's JSON export (not its JSON-MIN, which is a plain table)."""
    return bool(table.rows) and all("annotations" in row and "data" in row for row in table.rows)


def read_label_studio(path: Path, table: RowTable, names: LabelNames) -> Ratings:
    """One rating an annotation; cancelled annotations, and tasks without any, are skipped.

    Choices, and the labels of boxes and other regions, are taken as rules that the image breaks.

    Raises:
        JuratError: a label is no rule.
    """
    found = Ratings("Label Studio, JSON")
    for problem in table.problems:
        found.skip(f"{path.name}, {problem.place}", problem.reason)
    for task, place in zip(table.rows, table.places, strict=True):
        where = f"{path.name}, {place}"
        data = task["data"]
        image = next((data[n] for n in _IMAGES if n in data), None) if isinstance(data, Mapping) else None
        annotations = task["annotations"]
        if not isinstance(image, str) or not isinstance(annotations, list) or not annotations:
            found.skip(where, "no annotation" if isinstance(image, str) else "its data names no image")
            continue
        for annotation in cast("list[Any]", annotations):
            if not isinstance(annotation, Mapping) or annotation.get("was_cancelled"):
                found.skip(where, "an annotation that was cancelled")
                continue
            try:
                rules = names.broken(_choices(annotation), where)
            except CellProblem as problem:
                found.skip(where, str(problem))
                continue
            found.ratings.append(Rating(image, _person(annotation.get("completed_by")), rules, where))
    return found


def _choices(annotation: Mapping[str, Any]) -> list[str]:
    """The labels of all results of an annotation.

    Raises:
        CellProblem: it has results, and none of them holds labels: nothing is known then.
    """
    results = [r for r in annotation.get("result") or () if isinstance(r, Mapping)]
    labels: list[str] = []
    known = False
    for result in results:
        value = result.get("value")
        for name, held in value.items() if isinstance(value, Mapping) else ():
            if (name in ("choices", "taxonomy") or name.endswith("labels")) and isinstance(held, list):
                known = True
                labels += [str(each[-1] if isinstance(each, list) and each else each) for each in held]
    if results and not known:
        raise CellProblem("its results hold no choices and no labels")
    return labels


def _person(completed_by: Any) -> str:
    """The annotator: a number, or an object with an email address or an id."""
    if isinstance(completed_by, Mapping):
        person = cast("Mapping[str, Any]", completed_by)
        return str(person.get("email") or person.get("id") or "")
    return "" if completed_by is None else str(completed_by)


def read_cvat(path: Path, names: LabelNames) -> Ratings:
    """CVAT for images 1.1 (XML): tags of an image, and labels of its shapes, are rules that it breaks.

    Raises:
        JuratError: the file is no such XML, or a label is no rule.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, UnicodeDecodeError) as error:
        raise JuratError(f"{path.name} is not XML: {reason(error)}") from error
    if root.tag != "annotations" or not root.findall("image"):
        raise JuratError(
            f"{path.name} is not an export of CVAT's: it has no <annotations> with <image>.",
            hint='Export it as "CVAT for images 1.1".',
        )
    found = Ratings("CVAT for images")
    for number, image in enumerate(root.findall("image"), 1):
        where = f"{path.name}, image {number}"
        labels = [each.get("label") or "" for each in image if each.tag in _SHAPES]
        try:
            rules = names.broken(labels, where)
        except CellProblem as problem:
            found.skip(where, str(problem))
            continue
        found.ratings.append(Rating(image.get("name") or "", "", rules, where))
    if not any(any(rating.rules.values()) for rating in found.ratings):
        found.notes.append(f"{path.name}: no image has a label; all are taken to break nothing.")
    return found


def read_class_folders(images: Path, names: LabelNames) -> Ratings:
    """Folders named by a rule, or "safe": an image in `DIR/weapon/` breaks the rule `weapon`.

    An image that lies, byte for byte, in the folders of several rules breaks all of them.

    Raises:
        JuratError: there are no such folders, or a folder is named by no rule.
    """
    from hashlib import sha256

    found = Ratings("a folder a rule")
    folders = sorted(each for each in _listed(images) if each.is_dir() and not each.name.startswith("."))
    if not folders:
        raise JuratError(
            f"{images} has no folders, so no image has a label.",
            hint=f"Name a file with --labels, or make folders: {', '.join([*names.rules[:3], SAFE[0]])}.",
        )
    held: dict[str, dict[str, Path]] = {}
    """Digest of a picture -> rule -> the first file of it."""
    for folder in folders:
        rule = names.rule(folder.name, f"{images.name}/{folder.name}")
        for file in _pictures(folder, found):
            if rule:
                held.setdefault(sha256(file.read_bytes()).hexdigest(), {}).setdefault(rule, file)
            else:
                found.skip(str(file.relative_to(images)), "a folder whose label is ignored")
    for stray in (each for each in _listed(images) if each.is_file()):
        found.skip(stray.name, "a file outside the folders")
    for places in held.values():
        file = str(next(iter(places.values())).relative_to(images))
        if SAFE[0] in places and len(places) > 1:
            found.skip(file, f"the same picture is in {' and '.join(repr(p) for p in sorted(places))}")
            continue
        found.ratings.append(Rating(file, "", {rule: rule in places for rule in names.rules}, file))
    found.ratings.sort(key=lambda rating: rating.file)
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise JuratError(f"{folder} cannot be listed: {reason(error)}") from error


def _pictures(folder: Path, found: Ratings) -> Iterator[Path]:
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith("._"):
            yield file
        else:
            found.skip(one_line(str(file.relative_to(folder.parent))), "its suffix is not that of an image")
