"""The page of a run: facts, counts, rules, scores with their thresholds, and the gallery.

The page needs no network and runs no code but its own (`jurat.report.gallery.layout`). Whatever comes from
the record is shown as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.errors import JuratError
from jurat.files import file_errors
from jurat.judge import Verdict
from jurat.report.gallery import Layout, Picture, Place, Store, thumbnail, write_page
from jurat.report.verdicts.columns import VerdictColumns
from jurat.report.verdicts.evidence import Texts, evidence
from jurat.report.verdicts.explanations import Paragraph, Reader, explain
from jurat.report.verdicts.pictures import picture_of
from jurat.report.verdicts.policy import Policy, policy_of
from jurat.report.verdicts.read_run import Entry, Run
from jurat.report.verdicts.run_facts import Facts, flattened
from jurat.report.verdicts.tally import MEANINGS, OUTCOMES, Tally
from jurat.sources.reopen import Reopener
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.constitution import Constitution

LIMIT = 400
"""Default number of pictures on a page; one takes about 15 kB."""
LAYOUT = Layout(
    "jurat.report.verdicts",
    scripts=("thresholds", "charts", "evidence", "labels", "cards", "scores"),
    styles=("scores",),
)


@dataclass(frozen=True)
class Page:
    """What was written."""

    path: Path
    items: int
    """Verdicts in the run."""
    shown: int
    """Items whose pictures were looked for: at most the limit."""
    files: Path | None = None
    """The folder beside the page, if it has one."""
    sealed: int = 0
    """Sealed items: counted, but not shown."""


@dataclass
class PageBuilder:
    """Gathers the content of a page in one pass over the verdicts."""

    run: Run
    store: Store
    reader: Reader = "reviewer"
    limit: int = LIMIT
    constitution: Constitution | None = None
    """The constitution of the verdicts, if the user named it."""
    tally: Tally = field(default_factory=Tally)
    texts: Texts = field(default_factory=Texts)
    sealed: int = 0
    policy: Policy | None = None
    """Known once a verdict was counted."""
    pictures: dict[str, list[tuple[int, Picture]]] = field(default_factory=lambda: {o: [] for o in OUTCOMES})
    """By outcome: rows and their pictures, at most `limit` of each."""

    def __post_init__(self) -> None:
        self.columns = VerdictColumns(self.run)
        self.facts = Facts(self.run.passed_over)

    def count(self, entry: Entry) -> None:
        """Counts a verdict."""
        # A sealed item is only counted: not even the model's note on it is shown.
        verdict = entry.verdict.model_copy(update={"note": None}) if entry.sealed else entry.verdict
        if self.policy is None:
            self.policy = policy_of(self.run.facts, verdict, self.constitution)
        self.tally.add(verdict)
        self.facts.add(verdict)
        self.sealed += entry.sealed

    def show(self, entry: Entry, before: Verdict | None = None) -> None:
        """Adds an item to the gallery, with its verdict in another run if one is compared."""
        verdict = entry.verdict
        row = self.columns.add(entry, before)
        item = evidence(entry, self._explained(entry), self.texts, reader=self.reader)
        if before is not None:
            words = (Paragraph(printable(before.explain())),)
            item["before"] = evidence(Entry(before), words, self.texts, reader=self.reader)
        self.store.add(item)
        if len(self.pictures[verdict.outcome]) < self.limit:
            self.pictures[verdict.outcome].append((row, picture_of(verdict)))

    def _explained(self, entry: Entry) -> tuple[Paragraph, ...]:
        texts = self.policy.texts(entry.verdict) if self.policy else {}
        return explain(entry.verdict, self.reader, basis=entry.basis, rules=texts)

    @property
    def sentences(self) -> Mapping[str, str]:
        """The rules' sentences by their ids; empty where the verdicts are of several policies."""
        one = len(self.facts.values["Constitution"]) == 1
        return self.policy.rules if self.policy is not None and one else {}

    def write(self, template: str, images_root: Path | None, filling: dict[str, Any]) -> int:
        """Writes the page, and returns how many items' pictures were looked for."""
        pictures = self._take_pictures(images_root)
        columns = self.columns.payload(self.sentences) | {"texts": self.texts.listed}
        if self.reader != "reviewer":
            columns["labels"] = None
        if self.reader == "user" and columns["stuck"]:
            columns["stuck"] = "No thresholds can be tried here."
        filling = self._filling() | {"pictures": pictures} | filling
        write_page(LAYOUT, template, self.store, columns, filling)
        return pictures

    def _take_pictures(self, images_root: Path | None) -> int:
        """Makes the thumbnails, those of the first outcomes first, up to `limit`."""
        chosen = [one for outcome in OUTCOMES for one in self.pictures[outcome]][: self.limit]
        inside = Reopener(self.run.column, images_root).find(
            uri for _, picture in chosen for uri in picture.uris
        )
        for row, picture in chosen:
            self.store.add_picture(row, thumbnail(picture, images_root, inside))
        return len(chosen)

    def _filling(self) -> dict[str, Any]:
        """Variables of the template."""
        facts, tally, to_user = self.facts, self.tally, self.reader == "user"
        policies = list(facts.values["Constitution"])
        notes = [] if to_user else [note_on(*pair, tally.items) for pair in tally.notes.items()]
        return {
            "record": self.run.name,
            "policy_name": str(self.policy) if len(policies) == 1 else ", ".join(policies),
            "sentences": self.sentences,
            "notes": [*notes, *tally.remarks],
            "facts": facts,
            "fact_values": facts.shown(self.reader),
            "run_facts": [] if to_user else flattened(self.run.facts),
            "tally": tally,
            "outcome_counts": [(outcome, tally.outcomes[outcome]) for outcome in OUTCOMES],
            "outcomes": OUTCOMES,
            "meanings": MEANINGS,
            "rate": tally.items / facts.seconds if facts.seconds > 0 else None,
            "stuck": self.columns.stuck,
            "sealed": self.sealed,
            "reader": self.reader,
        }


def write_report(
    record: Path,
    out: Path,
    *,
    images_root: Path | None = None,
    limit: int = LIMIT,
    overwrite: bool = False,
    reader: Reader = "reviewer",
    constitution: Constitution | None = None,
) -> Page:
    """Writes the page of a run. Memory grows with `limit`, and by some bytes an item.

    Args:
        record: a JSON Lines or Parquet file or a run directory that `jurat judge --out` wrote.
        out: the page, if it ends in .html, else a folder for it. A page of many items has a folder beside it.
        images_root: where the images lie now, if not where they were judged.
        limit: how many items have a picture; the unsafe ones come first.
        overwrite: whether `out` may be replaced.
        reader: whom the explanations are for; see `jurat.report.explain`.
        constitution: the one the verdicts were reached under, whose rules' sentences are then shown. A run's
            folder holds them, and constitutions of the shelf are found by their digests.

    Raises:
        JuratError: the record cannot be read, holds no verdicts or is of another constitution, or `out`
            exists already.
    """
    place = Place.at(out)
    place.check(overwrite=overwrite)
    run = Run.at(record)
    with file_errors(place.page), Store(place) as store:
        builder = PageBuilder(run, store, reader, limit, constitution)
        for entry in run.entries():
            builder.count(entry)
            if not entry.sealed:
                builder.show(entry)
        if builder.tally.items == 0:
            raise JuratError(f"{record} holds no verdicts.")
        pictures = builder.write("page.html", images_root, {})
    files = place.files if store.apart else None
    return Page(place.page, builder.tally.items, pictures, files, builder.sealed)


def note_on(note: str, count: int, items: int) -> str:
    """A note on `count` of all items: "The image is ..." becomes "10 images are ..."."""
    if note.startswith("The image is "):
        return f"{counted(count, 'image is', 'images are')} {note.removeprefix('The image is ')}"
    return note if count == items else f"{note.rstrip('.')} ({counted(count, 'image')} of {items:,})."
