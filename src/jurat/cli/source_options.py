"""Options on where items come from, and what happens to them before a model looks."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jurat.errors import JuratError

if TYPE_CHECKING:
    from jurat.content import Item
    from jurat.judge import Judge, Verdict
    from jurat.media.hash_list import HashList, NearDuplicates
    from jurat.runs import Shard
    from jurat.runs.recorded_items import RecordedKeys
    from jurat.sources import SourceOptions
    from jurat.sources.passed_over import PassedOver

Column = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Tables: column of paths, URIs or bytes. Tar shards: the images' suffix."
    ),
]
IdColumn = Annotated[str | None, typer.Option("--id-column", metavar="NAME", help="Tables: column of ids.")]
CaptionColumn = Annotated[
    str | None,
    typer.Option(
        "--caption-column",
        metavar="NAME",
        help="Tables: column of captions. Tar shards: suffix of the members.",
    ),
]
ConversationColumn = Annotated[
    str | None,
    typer.Option(
        "--conversation-column",
        metavar="NAME",
        help="Tables: column of turns (role and content), also as JSON.",
    ),
]
PromptColumn = Annotated[
    str | None,
    typer.Option("--prompt-column", metavar="NAME", help="Tables: column of prompts."),
]
ResponseColumn = Annotated[
    str | None,
    typer.Option("--response-column", metavar="NAME", help="Tables: column of responses."),
]
Fps = Annotated[
    float,
    typer.Option(metavar="N", min=0.001, max=240, help="Frames to judge per second of a video."),
]
MaxFrames = Annotated[
    int,
    typer.Option(metavar="N", min=1, max=1000, help="Most frames to judge of a video or an animation."),
]
MaxImagePixels = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="A picture that has more pixels is an error; a JPEG may have eight times as many.",
    ),
]
MAX_IMAGE_PIXELS = 64_000_000
"""`jurat.media.DEFAULT_MAX_PIXELS`, without importing it."""
FramesNeeded = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        min=1,
        help="Frames of a video in which a rule must be broken; the default depends on their number.",
    ),
]
Root = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Base folder of relative paths in tables. Default: the table's folder."),
]
AllowPrivateHosts = Annotated[
    bool,
    typer.Option(
        "--allow-private-hosts",
        help="Allow http(s):// URIs in tables and lists, and redirects, to reach private addresses.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Judge only part I of N, I from 1: for job arrays."),
]
KnownOption = Annotated[
    Path | None,
    typer.Option(
        "--known", metavar="FILE", help="CSV file of hashes that decide items before any model is asked."
    ),
]
ReuseNear = Annotated[
    int | None,
    typer.Option(
        metavar="BITS",
        min=0,
        max=128,
        help="Reuse verdicts of pictures whose PDQ hashes differ in at most so many bits.",
    ),
]


def read_known(path: Path | None) -> HashList | None:
    """The list of known content, if one is named."""
    from jurat.media.hash_list import load_hash_list

    return None if path is None else load_hash_list(path)


def near_duplicates(distance: int | None) -> NearDuplicates | None:
    """The store of near duplicates, if `--reuse-near` is given."""
    from jurat.media.hash_list import NearDuplicates

    return None if distance is None else NearDuplicates(distance)


def _nothing_passed_over() -> PassedOver:
    from jurat.sources.passed_over import PassedOver

    return PassedOver()


@dataclass
class ItemSelection:
    """Which items are judged, and which are decided without a model."""

    paths: list[str]
    options: SourceOptions
    shard: Shard | None = None
    known: HashList | None = None
    near: NearDuplicates | None = None
    passed_over: PassedOver = field(default_factory=_nothing_passed_over)
    """Files and members that were found and are no items."""

    def found(self) -> Iterator[Item]:
        """The items of `paths`, of which there is at least one."""
        from jurat.sources import find_items

        items = find_items(self.paths, sys.stdin, options=self.options, passed_over=self.passed_over)
        first = next(items, None)
        if first is None:
            where = "the list on standard input" if self.paths == ["-"] else ", ".join(self.paths)
            usual = "PATHS are image files, folders of them, tables, tar shards, URIs, or globs."
            raise JuratError(
                f"No images were found in {where}.", hint="\n  ".join(self.passed_over.lines()) or usual
            )
        return itertools.chain([first], items)

    def chosen(self, items: Iterator[Item], recorded: RecordedKeys | None = None) -> Iterator[Item]:
        """Those of the shard that are not recorded yet, each numbered among those of its id."""
        from jurat.runs.recorded_items import in_shard, numbered, unrecorded

        items = numbered(items)
        if self.shard is not None:
            items = in_shard(items, self.shard.number, self.shard.count)
        return items if recorded is None else unrecorded(items, recorded)

    def settings(self) -> dict[str, object]:
        """What verdicts depend on, as `_run.json` holds it."""
        options = self.options
        conversations = [options.conversation_column, options.prompt_column, options.response_column]
        return {
            "known": None if self.known is None else self.known.digest,
            "reuse_near": None if self.near is None else self.near.distance,
            "columns": [options.column, options.id_column],
            "captions": options.caption_column,
            **({"conversations": conversations} if any(conversations) else {}),
        }

    def read(self, items: Iterator[Item], stopped: Callable[[], bool] = lambda: False) -> Iterator[Item]:
        """The items with their bytes, which are read ahead, until `stopped` says that no more are wanted."""
        from jurat.sources.prefetch import SourceFolders, read_ahead

        return read_ahead(items, SourceFolders.of(self.paths, self.options), stopped=stopped)

    def tell_passed_over(self) -> None:
        """Prints on standard error which files were passed over, even with `--quiet`, since they were not
        judged.
        """
        for line in self.passed_over.lines():
            typer.echo(f"jurat: {line}", err=True)

    def undecided(
        self, items: Iterator[Item], judge: Judge, decide: Callable[[Verdict], None]
    ) -> Iterator[Item]:
        """The items that need a model; the verdicts on the others are passed to `decide`."""
        if self.known is None and self.near is None:
            return items
        return (item for item in items if not self._settled(item, judge, decide))

    def judged(self, verdict: Verdict) -> None:
        """Stores a verdict for later near duplicates."""
        hash = self._hashes.pop((verdict.id, verdict.occurrence), None)
        if self.near is not None and hash is not None and verdict.outcome != "error":
            # As text: the verdicts of tens of thousands of pictures are gigabytes of objects.
            self.near.keep(hash, verdict.model_dump_json(by_alias=True))

    def __post_init__(self) -> None:
        self._hashes: dict[tuple[str, int], object] = {}
        """PDQ hashes of the pictures that are being judged."""

    def _settled(self, item: Item, judge: Judge, decide: Callable[[Verdict], None]) -> bool:
        from jurat.judge.hash_list_verdicts import find_known, known_verdict, reused_verdict
        from jurat.judge.loading import load_item
        from jurat.judge.verdict import Verdict
        from jurat.media.hash_list import picture_hashes

        found = find_known(item, self.known, judge.sampling, reads_texts=bool(judge.reads))
        if found is not None:
            decide(known_verdict(judge, found))
            return True
        if self.near is None or judge.reads:
            return False
        try:
            images = item.read()
        except Exception:  # its error row says why
            return False
        hashes = [hash for data in images for hash in picture_hashes(data, judge.sampling)]
        if len(images) != 1 or len(hashes) != 1 or hashes[0] is None:  # several pictures, or nothing to go by
            return False
        if (made := self.near.find(hashes[0])) is not None:
            loaded = load_item(item, judge.sampling)
            if loaded.error is not None:
                return False
            decide(reused_verdict(Verdict.model_validate_json(made), loaded))
            return True
        self._hashes[item.id, item.occurrence] = hashes[0]
        return False
