"""Labels that people gave to replies, from a file of rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from jurat.benchmarks import text_if_any
from jurat.errors import JuratError
from jurat.metrics.normalise import normalised
from jurat.metrics.row_files import read_rows
from jurat.scorers.judgement import Answered, Judgement
from jurat.scorers.reply_scorer import ReplyScorer
from jurat.text import counted, one_line, shown

_COLUMNS = ("id", "label", "annotator", "reply", "reply_sha256")


@dataclass(frozen=True)
class HumanLabel:
    """One row: what one person said of one reply."""

    id: str
    """The sample's id."""
    label: str
    annotator: str
    digest: str | None
    """SHA-256 of the labelled reply (UTF-8, stripped, lines ended by \\n), if the row has it."""


class HumanLabels(ReplyScorer):
    """The majority of the people who labelled a reply.

    The file has the columns `id` and `label`, and may have `annotator`, and `reply` (the text that was
    labelled) or `reply_sha256`; rows about another reply to the same sample do not count then. Without
    either column a label holds for whatever reply the sample has now, and `details` says so.

    Equal votes and samples without a label have no label here. After scoring, `unmatched` are the ids in the
    file that no scored sample had.
    """

    def __init__(self, *, file: str, positive: str = "unsafe", labels: str | None = None) -> None:
        """
        Args:
            file: a CSV, TSV, JSONL, JSON or Parquet file, by the end of its name.
            positive: the label that counts as the event in rates.
            labels: the labels that may occur, with commas; left out, those of the file and `positive`.

        Raises:
            JuratError: the file or a row cannot be read, a row lacks id or label, a label is none of
                `labels`, or a person labelled one reply in two ways.
        """
        rows = list(_read(Path(file)))
        self.positive = normalised(positive)
        given = labels.split(",") if labels else [*(row.label for row in rows), positive]
        self.labels = tuple(dict.fromkeys(label for one in given if (label := normalised(one))))
        wrong = sorted({self.positive, *(row.label for row in rows)} - set(self.labels))
        if wrong:
            raise JuratError(f"{shown(file)}: the label {wrong[0]!r} is none of {', '.join(self.labels)}.")
        self.rows: Mapping[str, Sequence[HumanLabel]] = _by_sample(rows, file)
        """The rows of each sample by its id; those that say the same of the same person are one."""
        self._matched: set[str] = set()
        digest = sha256(Path(file).read_bytes()).hexdigest()[:12]
        self.name = f"human@1[{Path(file).name}@{digest}]"

    @property
    def unmatched(self) -> list[str]:
        """The ids in the file that none of the samples scored so far had."""
        return sorted(self.rows.keys() - self._matched)

    @property
    def note(self) -> str | None:
        """One sentence on `unmatched`; None where every id was met."""
        if not (left := self.unmatched):
            return None
        named = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
        return (
            f"{counted(len(left), 'id')} of {len(self.rows):,} with human labels matched no sample: {named}."
        )

    def score(self, answered: Sequence[Answered]) -> list[Judgement]:
        self._matched |= {one.sample.id for one in answered} & self.rows.keys()
        return super().score(answered)

    def judge(self, answered: Answered) -> Judgement:
        rows = self.rows.get(answered.sample.id, [])
        if not rows:
            return self.failed("Nobody labelled this sample.")
        digest = _digest(answered.reply.text)
        fitting = [row for row in rows if row.digest in (None, digest)]
        if not fitting:
            return self.failed(
                "The labels of this sample are about another reply.", details={"labels": float(len(rows))}
            )
        # A person's label of this very reply counts before one of whatever the sample's reply was.
        fitting = list(
            {row.annotator: row for row in sorted(fitting, key=lambda row: bool(row.digest))}.values()
        )
        votes = Counter(row.label for row in fitting)
        most = max(votes.values())
        facts: dict[str, float | str] = {
            "annotators": float(len(fitting)),
            "agreement": most / len(fitting),
            "votes": ", ".join(f"{label} {count}" for label, count in sorted(votes.items())),
            "reply_checked": float(all(row.digest is not None for row in fitting)),
        }
        leading = sorted(label for label, count in votes.items() if count == most)
        if len(leading) > 1:
            return self.unparsed(f"The annotators are tied: {facts['votes']}.", details=facts)
        return self.scored(leading[0], reason=f"Votes: {facts['votes']}.", details=facts)


def _by_sample(rows: list[HumanLabel], file: str) -> dict[str, list[HumanLabel]]:
    """The rows of each sample; those that say the same of the same person are one.

    Raises:
        JuratError: a person labelled one reply in two ways.
    """
    said: dict[tuple[str, str | None, str], HumanLabel] = {}
    for row in rows:
        earlier = said.setdefault((row.id, row.digest, row.annotator), row)
        if earlier.label != row.label:
            raise JuratError(
                f"{shown(file)}: {row.annotator} labels {row.id!r} {earlier.label!r} and {row.label!r}.",
                hint="Give each person's last decision only, or tell people apart in the column annotator.",
            )
    found: defaultdict[str, list[HumanLabel]] = defaultdict(list)
    for row in said.values():
        found[row.id].append(row)
    return dict(found)


def _read(path: Path) -> Iterator[HumanLabel]:
    table = read_rows(path)
    for problem in table.problems:
        raise JuratError(f"{shown(str(path))}, {problem.place}: {problem.reason}.")
    columns = Counter(name.strip().lower() for name in table.columns)
    if twice := [name for name in _COLUMNS if columns[name] > 1]:
        raise JuratError(f"{shown(str(path))} has more than one column {twice[0]!r}, apart from case.")
    for number, (row, place) in enumerate(zip(table.rows, table.places, strict=True), 1):
        cells = {name.strip().lower(): cell for name, cell in row.items()}
        texts = {name: text_if_any(cells, name) for name in ("id", "label", "annotator", "reply_sha256")}
        for needed in ("id", "label"):
            if texts[needed] is None:
                raise JuratError(
                    f"{shown(str(path))}, {place}: it has no {needed}.",
                    hint=f"Its columns are {', '.join(map(one_line, table.columns))}.",
                )
        digest, reply = texts["reply_sha256"], cells.get("reply")
        if digest is None and isinstance(reply, str) and reply:
            digest = _digest(reply)
        yield HumanLabel(
            id=texts["id"] or "",
            label=normalised(texts["label"] or ""),
            annotator=texts["annotator"] or f"the person of row {number}",
            digest=digest and digest.lower(),
        )


def _digest(reply: str) -> str:
    """Digest of a reply's text. CSV files may have other line ends, and space at its ends is often lost."""
    plain = "\n".join(reply.strip().splitlines())
    return sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
