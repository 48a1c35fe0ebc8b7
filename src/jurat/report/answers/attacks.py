"""The page of a run of `jurat attack`: each clean picture, what became of it, and the difference enlarged,
with the replies to both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jurat.benchmarks.drawing import png
from jurat.content import ImageError
from jurat.media import decode
from jurat.registry import name_and_options
from jurat.report.answers.page import LIMIT, AnswersPage, write_answers
from jurat.report.answers.pictures import picture_of
from jurat.report.answers.rows import Given, Judged, SampleRow
from jurat.report.gallery import Thumbnail
from jurat.runs import is_run, read_rows
from jurat.runs.folder import read_facts
from jurat.sources import read_file

_MIDDLE = 128
_NOTE = (
    "Each picture is shown clean, attacked and as their difference, which is enlarged until its largest "
    "value fills the range; grey is no difference."
)


def is_attack(path: Path) -> bool:
    """Whether a path is the folder of a run of `jurat attack`. Raises JuratError where it cannot be read."""
    return path.is_dir() and is_run(path) and "attack" in read_facts(path).get("settings", {})


def write_attacks(folder: Path, out: Path, *, limit: int = LIMIT, overwrite: bool = False) -> AnswersPage:
    """Writes the page of a run, as `write_answers` does; raises what that raises."""
    settings: Mapping[str, Any] = read_facts(folder)["settings"]
    rows = list(read_rows(folder))
    return write_answers(
        map(_sample, rows),
        lambda number: _picture(folder, rows[number]),
        out,
        title=f"{name_and_options(settings['attack'])[0]} on {settings['model']}",
        facts=[(name, str(settings[name])) for name in ("attack_settings", "target", "success", "seed")],
        facts_of="setting",
        notes=[_NOTE] if any(row.get("picture") for row in rows) else [],
        limit=limit,
        overwrite=overwrite,
    )


def _sample(row: Mapping[str, Any]) -> SampleRow:
    replies: Sequence[Mapping[str, Any]] = row["replies"]
    sample = SampleRow(row["id"], [("user", each["prompt"]) for each in replies], {"outcome": row["outcome"]})
    if row.get("text") is not None:
        sample.facts = {**sample.facts, "text": row["text"]}
    if row.get("linf") is not None:
        alike = "" if row["ssim"] is None else f", SSIM {row['ssim']:.3f}"
        sample.facts = {**sample.facts, "distance": f"{row['linf']} of 255{alike}"}
    for number, each in enumerate(replies, 1):
        prompt = "" if len(replies) == 1 else f", prompt {number}"
        sample.answers += [
            _given(f"before{prompt}", each["clean_reply"], "", each["clean_success"]),
            _given(f"attacked{prompt}", each["reply"], each["failure"] or "", each["success"]),
        ]
    if not replies:
        sample.answers.append(Given("attack", "", row["error"] or "", [Judged("attack", "error")]))
    return sample


def _given(by: str, text: str, failure: str, success: bool) -> Given:
    judged = Judged("attack", "scored", "as wanted" if success else "not as wanted", success)
    return Given(by, text, failure, [judged])


def _picture(folder: Path, row: Mapping[str, Any]) -> Thumbnail:
    """Clean, attacked and difference side by side; files that are not those of the record are not shown."""
    if row.get("picture") is None:
        return Thumbnail(None, missing="There is no attacked picture.")
    try:
        clean = _recorded(Path(row["uri"].removeprefix("file://")), row["clean_sha256"])
        attacked = _recorded(folder / row["picture"], row["sha256"])
        return picture_of([clean, attacked, _difference(clean, attacked)])
    except ImageError as error:
        return Thumbnail(None, missing=error.message)


def _recorded(path: Path, digest: str) -> bytes:
    if not path.is_file():
        raise ImageError(f"The image {path.name} is not where it was.")
    data = read_file(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ImageError(f"The image {path.name} has changed since it was attacked.")
    return data


def _difference(clean: bytes, attacked: bytes) -> bytes:
    before, after = (
        np.asarray(decode(data).frames[0].convert("RGB"), np.int16) for data in (clean, attacked)
    )
    gap = after - before
    enlarged = _MIDDLE + gap * (_MIDDLE - 1) // max(1, int(np.abs(gap).max()))
    return png(Image.fromarray(enlarged.astype(np.uint8)))
