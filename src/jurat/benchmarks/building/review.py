"""`review.csv`: what a person has to decide, and what reviewers decided."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from jurat.benchmarks.building.writing import Written
from jurat.errors import JuratError, MissingExtra
from jurat.files import file_errors, write_whole
from jurat.metrics.metric_value import MetricValue
from jurat.metrics.named import METRICS
from jurat.text import one_line, reason, shown

FILE = "review.csv"
COLUMNS = (
    "id", "reasons", "dimension", "request", "veiled", "title", "key_phrase", "context", "near_miss",
    "decision", "reviewer", "note",
)  # fmt: skip
"""`decision` ("accept" or "reject") and `reviewer` are filled in by people, `note` if they like."""
Decision = Literal["accept", "reject"]
_DECISIONS: dict[str, Decision] = {
    "accept": "accept", "accepted": "accept", "reject": "reject", "rejected": "reject",
}  # fmt: skip


@dataclass
class Review:
    """What reviewers filled in."""

    rows: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """Those of `review.csv`, as they stand."""
    given: dict[tuple[str, str], Decision] = field(default_factory=dict[tuple[str, str], Decision])
    """(id, reviewer) to decision."""
    problems: list[str] = field(default_factory=list[str])
    """Rows that decide nothing though something was filled in, a sentence each."""

    def decision(self, id: str) -> Decision | None:
        """What most reviewers decided; None where none did, or as many one way as the other."""
        votes = Counter(decision for (of, _), decision in self.given.items() if of == id)
        if votes["accept"] == votes["reject"]:
            return None
        return "accept" if votes["accept"] > votes["reject"] else "reject"

    def is_tied(self, id: str) -> bool:
        """Whether there are decisions, as many one way as the other."""
        return self.decision(id) is None and any(of == id for of, _ in self.given)

    def reviewers(self, id: str) -> list[str]:
        """Who decided."""
        return sorted(reviewer for of, reviewer in self.given if of == id)

    def about(self, ids: Collection[str]) -> Review:
        """The decisions about these drafts."""
        return replace(self, given={key: value for key, value in self.given.items() if key[0] in ids})

    def agreement(self) -> dict[str, MetricValue | str]:
        """Metrics of the agreement beyond chance on what several reviewers decided, or why one cannot be
        computed; empty where no two reviewers decided about the same draft."""
        times = Counter(id for id, _ in self.given)
        if max(times.values(), default=0) < 2:
            return {}
        rows = [
            {"unit": id, "rater": reviewer, "rating": decision}
            for (id, reviewer), decision in self.given.items()
        ]
        several = {reviewer for id, reviewer in self.given if times[id] > 1}
        kappa = "cohen_kappa" if len(several) == 2 else "fleiss_kappa"
        shared = [row for row in rows if times[row["unit"]] > 1] if len(several) == 2 else rows
        return {
            name: _computed(name, used)
            for name, used in ((kappa, shared), ("krippendorff_alpha_nominal", rows))
        }


def _computed(name: str, rows: list[dict[str, str]]) -> MetricValue | str:
    try:
        return METRICS.find(name).compute(rows, labels=("accept", "reject"))
    except MissingExtra as error:
        return f"not available: {error.hint}"


def read_review(folder: Path) -> Review:
    """What stands in `review.csv`, and in copies of it by other reviewers: `review-NAME.csv`.

    Raises:
        JuratError: a file cannot be read, or has no columns `id`, `decision` and `reviewer`.
    """
    review = Review()
    for path in sorted(folder.glob("review*.csv")):
        rows = _rows(path)
        if path.name == FILE:
            review.rows = [row for _, row in rows]
        for line, row in rows:
            _take(review, row, f"{path.name}:{line}")
    return review


def _take(review: Review, row: Mapping[str, str], where: str) -> None:
    id, told, reviewer = (row.get(name, "").strip() for name in ("id", "decision", "reviewer"))
    if not told:
        return
    decision = _DECISIONS.get(told.lower())
    if decision is None:
        review.problems.append(f"{where}: the decision {one_line(told)!r} is neither accept nor reject")
    elif not reviewer:
        review.problems.append(f"{where}: the decision has no reviewer")
    elif review.given.setdefault((id, reviewer), decision) != decision:
        review.problems.append(f"{where}: {one_line(reviewer)} decided otherwise before; that counts")


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, row) of a file."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise JuratError(f"{shown(str(path))} cannot be read: {reason(error)}.") from error
    lines = text.splitlines()
    delimiter = ";" if lines and ";" in lines[0] and "," not in lines[0] else ","
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="", restkey="")
    if missing := {"id", "decision", "reviewer"} - set(rows.fieldnames or ()):
        raise JuratError(f"{shown(str(path))} has no column {', '.join(sorted(missing))}.")
    try:
        return [(rows.line_num, {key: value for key, value in row.items() if key}) for row in rows]
    except csv.Error as error:
        raise JuratError(f"{shown(str(path))}:{rows.line_num}: {reason(error)}.") from error


def write_review(folder: Path, review: Review, doubtful: Sequence[tuple[Written, list[str]]]) -> None:
    """Writes `review.csv` with a row for each doubtful draft. Rows in which something was filled in stay as
    they are; others that are no longer doubtful go."""
    filled = [row for row in review.rows if any(row.get(name) for name in ("decision", "reviewer", "note"))]
    kept: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for row in filled:
        kept[row["id"]].append(row)
    rows: list[dict[str, str]] = []
    for written, reasons in doubtful:
        rows += kept.pop(written.review_id, None) or [_row(written, reasons)]
    rows += [row for several in kept.values() for row in several]
    further = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
    path = folder / FILE
    if not rows and not path.exists():
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *further], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if not path.exists() or path.read_text("utf-8", errors="replace") != text.getvalue():
        with file_errors(path):
            write_whole(path, text.getvalue())


def _row(written: Written, reasons: list[str]) -> dict[str, str]:
    draft = written.draft
    assert draft is not None
    texts = {name: getattr(draft, name) for name in ("request", "veiled", "title", "key_phrase", "context")}
    return {
        "id": written.review_id,
        "reasons": _no_formula("; ".join(reasons)),
        "dimension": written.category,
        **{name: _no_formula(text) for name, text in texts.items()},
        "near_miss": _no_formula(draft.near_miss.request),
    }


def _no_formula(text: str) -> str:
    """A text that a spreadsheet takes for text; these cells are not read back."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
