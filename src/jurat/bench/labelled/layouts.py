"""Tables of labels (CSV, TSV, JSONL, JSON, Parquet) in the layouts that people and tools write.

| layout | columns |
|---|---|
| labels in a cell | `file`, `broken` (or `labels`, `choice` ...): "weapon;alcohol", a list, or nothing |
| one such cell an annotator | `file`, `broken@alice`, `broken@bob` |
| one column a rule | `file`, and a column for each rule: 1, 0, or nothing where it was not rated |
| one column a rule and annotator | `file`, `weapon@alice`, `weapon@bob` |
| one row a rule | `file`, `rule`, `label` (1 or 0) |

Each may have a column `annotator`, with a row for each annotator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jurat.bench.labelled.ratings import CellProblem, LabelNames, Rating, Ratings, vote
from jurat.errors import JuratError
from jurat.metrics.metric_rows import RowTable
from jurat.text import one_line

FILES = (
    *("file", "image", "path", "filename", "file_name", "image_path", "file_path", "image_name"),
    *("name", "uri", "url"),
)
"""Names of the column of images, in any case; the first that a table has is taken."""
CELLS = (
    *("broken", "labels", "label", "rules", "rule", "choices", "choice", "categories", "category"),
    *("tags", "tag", "class", "violations"),
)
"""Names of a column whose cells hold labels."""
RULE_COLUMNS = ("rule", "rule_id", "category", "class", "question")
VOTE_COLUMNS = ("label", "vote", "value", "rating", "answer", "broken")
"""Names of the column of votes in a table with one row for each image and rule."""
ANNOTATORS = ("annotator", "annotator_id", "completed_by", "rater", "worker", "worker_id", "user")


@dataclass(frozen=True)
class _Columns:
    """Names of a table's columns by their roles."""

    file: str
    annotator: str | None
    cell: str | None = None
    """Column whose cells hold labels."""
    rule: str | None = None
    vote: str | None = None
    flags: Mapping[str, tuple[str, str]] | None = None
    """Column -> rule and annotator; a column of an annotator's cells has the rule ""."""

    @property
    def layout(self) -> str:
        if self.flags is not None:
            cells = any(not rule for rule, _ in self.flags.values())
            people = any(person for _, person in self.flags.values())
            what = "one column of labels an annotator" if cells else "one column a rule"
            return what + (" and annotator" if people and not cells else "")
        if self.vote is not None:
            return "one row a rule"
        return f"labels in the column {self.cell!r}"

    @property
    def read(self) -> set[str | None]:
        return {self.file, self.annotator, self.cell, self.rule, self.vote, *(self.flags or ())}


def read_table(path: Path, table: RowTable, names: LabelNames) -> Ratings:
    """The ratings of a table. A row that cannot be read is skipped, with its place and the reason.

    Raises:
        JuratError: no column names the images, none holds labels, or a label is no rule.
    """
    columns = _columns(path, table, names)
    found = Ratings(columns.layout)
    found.unread = tuple(name for name in table.columns if name not in columns.read)
    for problem in table.problems:
        found.skip(f"{path.name}, {problem.place}", problem.reason)
    for row, place in zip(table.rows, table.places, strict=True):
        where = f"{path.name}, {place}"
        file = row.get(columns.file)
        if not isinstance(file, str) or not file.strip():
            found.skip(where, f"the column {columns.file!r} names no image")
            continue
        try:
            made = list(_of_row(row, file.strip(), columns, names, where))
        except CellProblem as problem:
            found.skip(where, str(problem))
            continue
        if not made:
            found.skip(where, "no rule was rated")
        found.ratings += made
    if columns.vote is None and columns.annotator is None:
        _drop_repeats(found)
    found.notes += _one_sided(found, columns)
    return found


def _columns(path: Path, table: RowTable, names: LabelNames) -> _Columns:
    """Raises JuratError where the table has no column of images, or none of labels."""
    lower = {name.strip().lower(): name for name in reversed(table.columns)}
    file = next((lower[name] for name in FILES if name in lower), None)
    if file is None:
        raise _lacks(path, "names the images", table, "file, image, path, filename")
    annotator = next((lower[name] for name in ANNOTATORS if name in lower), None)
    others = [name for name in table.columns if name not in (file, annotator)]
    by_person = {name: _at(name) for name in others if "@" in name}
    cells = {name: ("", person) for name, (what, person) in by_person.items() if what.lower() in CELLS}
    rules = {
        name: (names.rule(what, f"{path.name}, column {name!r}"), person)
        for name, (what, person) in by_person.items()
        if name not in cells
    }
    flags = cells or {name: pair for name, pair in rules.items() if pair[0]}
    if flags:
        return _Columns(file, annotator, flags=flags)
    rule = next((lower[name] for name in RULE_COLUMNS if name in lower), None)
    said = next((lower[name] for name in VOTE_COLUMNS if name in lower and lower[name] != rule), None)
    if rule is not None and said is not None and _all_votes(table.rows, said):
        return _Columns(file, annotator, rule=rule, vote=said)
    cell = next((lower[name] for name in CELLS if name in lower and lower[name] in others), None)
    if cell is not None:
        return _Columns(file, annotator, cell=cell)
    flags = {name: (names.rule(name, ""), "") for name in others if names.knows(name)}
    flags = {name: pair for name, pair in flags.items() if pair[0] in names.rules}
    if flags:
        return _Columns(file, annotator, flags=flags)
    raise _lacks(path, "holds labels", table, f"broken, or a column a rule: {', '.join(names.rules)}")


def _lacks(path: Path, what: str, table: RowTable, usual: str) -> JuratError:
    return JuratError(
        f"{path.name}: no column {what}; it has {', '.join(map(one_line, table.columns)) or 'none'}.",
        hint=f"Usual names: {usual}.",
    )


def _at(column: str) -> tuple[str, str]:
    what, _, person = column.rpartition("@")
    return what.strip(), person.strip()


def _all_votes(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Whether every cell of a column is yes, no or empty, and one at least is not empty."""
    try:
        votes = [vote(row.get(column)) for row in rows if not isinstance(row.get(column), list | dict)]
    except CellProblem:
        return False
    return len(votes) == len(rows) and any(each is not None for each in votes)


def _of_row(
    row: Mapping[str, Any], file: str, columns: _Columns, names: LabelNames, place: str
) -> Iterator[Rating]:
    person = columns.annotator and row.get(columns.annotator)
    annotator = "" if person is None else str(person).strip()
    if columns.vote is not None:
        rule = names.rule(str(row.get(columns.rule or "") or "").strip(), place)
        said = vote(row.get(columns.vote))
        if rule in names.rules and said is not None:
            yield Rating(file, annotator, {rule: said}, place)
        elif rule and rule not in names.rules:  # a row that says safe: yes
            yield Rating(file, annotator, dict.fromkeys(names.rules, False) if said else {}, place)
    elif columns.flags is None:
        yield Rating(file, annotator, names.broken(row.get(columns.cell or ""), place), place)
    else:
        people: dict[str, dict[str, bool]] = {}
        for column, (rule, who) in columns.flags.items():
            cell = row.get(column)
            if not rule:  # an empty cell is no vote here: that annotator did not see the image
                if cell is not None and (not isinstance(cell, str) or cell.strip()):
                    people.setdefault(who, {}).update(names.broken(cell, place))
            elif rule in names.rules and (said := vote(cell)) is not None:
                people.setdefault(who, {})[rule] = said
        for who, rules in people.items():
            yield Rating(file, who or annotator, rules, place)


def _drop_repeats(found: Ratings) -> None:
    """Keeps one row for each image of a table without annotators: the first of equal rows, none of rows that
    differ."""
    first: dict[str, Rating] = {}
    seen: set[tuple[str, str]] = set()
    differing: set[str] = set()
    kept: list[Rating] = []
    for rating in found.ratings:
        earlier = first.setdefault(rating.file, rating)
        if (rating.file, rating.annotator) not in seen:
            seen.add((rating.file, rating.annotator))
            kept.append(rating)
            continue
        same = next(r for r in kept if (r.file, r.annotator) == (rating.file, rating.annotator))
        if same.rules == rating.rules:
            found.skip(rating.place, f"{rating.file} is listed in {earlier.place} already")
        else:
            differing.add(rating.file)
            found.skip(
                rating.place,
                f"{rating.file} has other labels in {earlier.place}, and no column says who labelled it: "
                "neither row is used",
            )
    found.ratings = [rating for rating in kept if rating.file not in differing]


def _one_sided(found: Ratings, columns: _Columns) -> Iterator[str]:
    """Notes on annotators whose empty cells may have meant "safe"."""
    if columns.flags is None or any(rule for rule, _ in columns.flags.values()):
        return
    for who in dict.fromkeys(rating.annotator for rating in found.ratings):
        mine = [rating for rating in found.ratings if rating.annotator == who]
        if all(any(rating.rules.values()) for rating in mine):
            yield (
                f"{one_line(who)} labels no image as safe. An empty cell of an annotator's is read as not "
                "rated; write safe where nothing is broken."
            )
