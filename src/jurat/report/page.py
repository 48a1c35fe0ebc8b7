"""One page of a run: facts, counts, rules, scores with their thresholds, and a gallery to filter.

The page needs no network and runs no code but its own: its policy admits its scripts and its stylesheet by
their digests, and pictures that it carries or that lie beside it. Whatever comes from the record is text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.errors import JuratError
from jurat.files import make_folder, written_aside
from jurat.judge import Verdict
from jurat.report import bundle
from jurat.report.columns import Columns
from jurat.report.evidence import Texts, evidence
from jurat.report.explanations import Said, Voice, say
from jurat.report.page_files import Place, Store
from jurat.report.policy import Policy, policy_of
from jurat.report.read_run import Entry, Run
from jurat.report.run_facts import Facts, flattened
from jurat.report.tally import MEANINGS, OUTCOMES, RuleCount, Tally
from jurat.report.thumbnails import thumbnail, uris_of
from jurat.sources.reopen import Reopener
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jinja2 import Environment

    from jurat.constitution import Constitution

LIMIT = 400
"""Pictures that a page has unless told otherwise; one takes some 15 kB."""


@dataclass(frozen=True)
class Page:
    """What was written."""

    path: Path
    items: int
    """Verdicts in the run."""
    shown: int
    """Of them, those whose pictures were wanted: at most the limit."""
    files: Path | None = None
    """The folder beside the page, if it has one."""
    sealed: int = 0
    """Items that are counted and nowhere shown."""


@dataclass
class Gathered:
    """What a page is made of, gathered in one pass over the verdicts."""

    run: Run
    store: Store
    voice: Voice = "reviewer"
    limit: int = LIMIT
    tally: Tally = field(default_factory=Tally)
    facts: Facts = field(default_factory=Facts)
    texts: Texts = field(default_factory=Texts)
    sealed: int = 0
    constitution: Constitution | None = None
    """Of the verdicts, where a person named it."""
    policy: Policy | None = None
    """Known once a verdict was counted."""
    kept: dict[str, list[tuple[int, Verdict]]] = field(default_factory=lambda: {one: [] for one in OUTCOMES})

    def __post_init__(self) -> None:
        self.columns = Columns(self.run)

    def count(self, entry: Entry) -> None:
        """Counts a verdict."""
        # A sealed item is a number: not even what a model remarked on it is repeated.
        verdict = entry.verdict.model_copy(update={"note": None}) if entry.sealed else entry.verdict
        if self.policy is None:
            self.policy = policy_of(self.run.facts, verdict, self.constitution)
        self.tally.add(verdict)
        self.facts.add(verdict)
        self.sealed += entry.sealed

    def show(self, entry: Entry, before: Verdict | None = None) -> None:
        """Puts an item into the gallery, beside what was said of it before, if a run is compared."""
        verdict, row = entry.verdict, len(self.columns)
        self.columns.add(entry, before)
        item = evidence(entry, self.say(entry), self.texts, voice=self.voice)
        if before is not None:
            said = (Said(printable(before.explain())),)
            item["before"] = evidence(Entry(before), said, self.texts, voice=self.voice)
        self.store.add(item)
        if len(self.kept[verdict.outcome]) < self.limit:
            # Only where the picture lies, and which frame it is: findings are in the store by now.
            rules = tuple(rule.model_copy(update={"clauses": ()}) for rule in verdict.rules if rule.parts)
            self.kept[verdict.outcome].append((row, verdict.model_copy(update={"rules": rules})))

    def say(self, entry: Entry) -> tuple[Said, ...]:
        texts = self.policy.texts(entry.verdict) if self.policy else {}
        return say(entry.verdict, self.voice, basis=entry.basis, rules=texts)

    @property
    def rules(self) -> Mapping[str, str]:
        """The rules' sentences by their ids; none where the verdicts are of several policies."""
        one = len(self.facts.values["Constitution"]) == 1
        return self.policy.rules if self.policy is not None and one else {}

    def take_pictures(self, images_root: Path | None) -> int:
        """Makes the thumbnails of the gravest items, and says how many items that is."""
        chosen = [one for outcome in OUTCOMES for one in self.kept[outcome]][: self.limit]
        uris = (uri for _, verdict in chosen for uri in uris_of(verdict))
        inside = Reopener(self.run.column, images_root).find(uris)
        for row, verdict in chosen:
            self.store.add_picture(row, thumbnail(verdict, images_root, inside))
        return len(chosen)

    def payload(self) -> dict[str, Any]:
        told = self.columns.payload(self.rules) | {"texts": self.texts.listed, "voice": self.voice}
        if self.voice != "reviewer":
            told["labels"] = None
        if self.voice == "user" and told["stuck"]:
            told["stuck"] = "No thresholds can be tried here."
        return told


def write_report(
    record: Path,
    out: Path,
    *,
    images_root: Path | None = None,
    limit: int = LIMIT,
    overwrite: bool = False,
    voice: Voice = "reviewer",
    constitution: Constitution | None = None,
) -> Page:
    """Writes the page of a run. Memory grows with `limit`, and by some bytes an item.

    Args:
        record: a JSON Lines or Parquet file or a run directory that `jurat judge --out` wrote.
        out: the page, if it ends in .html, else a folder for it. A page of many items has a folder beside it.
        images_root: where the images lie now, if not where they were judged.
        limit: how many items have a picture; the unsafe ones come first.
        overwrite: whether `out` may be replaced.
        voice: for whom the items are put in words; see `jurat.report.explanations`.
        constitution: of the verdicts, whose rules' sentences are then shown. A run's folder holds them, and
            those of the shelf are found by their digests.

    Raises:
        JuratError: the record cannot be read, holds no verdicts or is of another constitution, or `out` is
            there already.
    """
    place = Place.at(out)
    place.check(overwrite=overwrite)
    run = Run.at(record)
    with written(place), Store(place) as store:
        gathered = Gathered(run, store, voice, limit, constitution=constitution)
        for entry in run.entries():
            gathered.count(entry)
            if not entry.sealed:
                gathered.show(entry)
        if gathered.tally.items == 0:
            raise JuratError(f"{record} holds no verdicts.")
        pictures = gathered.take_pictures(images_root)
        write_page("page.html", gathered, context(gathered, pictures))
        files = place.files if store.apart else None
    return Page(place.page, gathered.tally.items, pictures, files, gathered.sealed)


def context(gathered: Gathered, pictures: int) -> dict[str, Any]:
    """What the template of a page is filled with."""
    facts, tally = gathered.facts, gathered.tally
    to_user = gathered.voice == "user"
    policies = list(facts.values["Constitution"])
    return {
        "record": gathered.run.name,
        "policy_name": str(gathered.policy) if len(policies) == 1 else ", ".join(policies),
        "sentences": gathered.rules,
        "notes": [] if to_user else [note_on(*pair, tally.items) for pair in tally.notes.items()],
        "facts": facts,
        "fact_values": facts.shown(gathered.voice),
        "told": [] if to_user else flattened(gathered.run.facts),
        "tally": tally,
        "shares": shares(tally.rules),
        "outcomes": OUTCOMES,
        "meanings": MEANINGS,
        "rate": tally.items / facts.seconds if facts.seconds > 0 else None,
        "pictures": pictures,
        "sealed": gathered.sealed,
        "voice": gathered.voice,
    }


def note_on(note: str, count: int, items: int) -> str:
    """A remark on `count` items of all: "The image is ..." as "10 images are ..."."""
    if note.startswith("The image is "):
        return f"{counted(count, 'image is', 'images are')} {note.removeprefix('The image is ')}"
    return note if count == items else f"{note.rstrip('.')} ({counted(count, 'image')} of {items:,})."


def shares(rules: list[RuleCount]) -> dict[str, tuple[float, float, float]] | None:
    """By rule: the share of items that break it, with Wilson's 95% interval; None without scipy."""
    from jurat.metrics import wilson

    told: dict[str, tuple[float, float, float]] = {}
    for rule in rules:
        n, broken = rule.outcomes.total(), rule.outcomes["broken"]
        try:
            interval = wilson(broken, n)
        except ImportError:  # scipy comes with the extra `local`
            return None
        told[rule.id] = (broken / n if n else 0.0, interval.low, interval.high)
    return told


def write_page(template: str, gathered: Gathered, filling: dict[str, Any]) -> None:
    """Writes the page and what lies beside it: aside and renamed, so that it is whole or not there."""
    store, out = gathered.store, gathered.store.place.page
    scripts, style = bundle.scripts(), bundle.style()
    filling = filling | {
        "style": style,
        "scripts": scripts,
        "policy": bundle.policy(scripts, style, beside=store.apart),
        "files": store.place.files.name if store.apart else None,
        "blocks": store.blocks(gathered.payload()),
        "columns": gathered.columns,
    }
    make_folder(out.parent)
    with written_aside(out) as aside:
        with aside.open("w", encoding="utf-8") as file:
            file.writelines(templates().get_template(template).generate(filling))
        store.commit()


class written:
    """Turns a failure to write into one line."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError):
            raise JuratError(f"{self._place.page} cannot be written: {error.strerror or error}") from error


def templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("jurat.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = lambda value: printable(str(value))
    return environment
