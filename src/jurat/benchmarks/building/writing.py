"""Asks the writer for every draft, and the judge about every draft."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from jurat.benchmarks.building.draft import Draft, UnreadableDraft, parse_draft
from jurat.benchmarks.building.journal import Journal
from jurat.benchmarks.building.prompts import draft_chat, judge_chat, read_ruling, repair_chat
from jurat.benchmarks.building.source_items import SourceItem
from jurat.benchmarks.building.spec import BuildSpec, Dimension
from jurat.content import Chat, Reply
from jurat.models import Model

Tell = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Written:
    """What the writer made of one source, or why it made nothing."""

    id: str
    """Dimension and number: "blades-0003"."""
    category: str
    dimension: Dimension
    item: SourceItem
    cluster: str
    """The dimension and its source: what is about the same source has the same."""
    draft: Draft | None = None
    problem: str = ""
    """Why there is no draft."""
    reply: str = ""
    """The last reply where it could not be read."""
    failed: bool = False
    """Whether the writer failed, so that the next build asks again."""

    @property
    def review_id(self) -> str:
        """The id with a digest of the draft: a decision is about these very words."""
        return f"{self.id}@{self.draft.digest}" if self.draft else self.id


def plan(spec: BuildSpec, sources: dict[str, list[SourceItem]]) -> list[tuple[Written, Chat]]:
    """What is to be drafted, and the conversation that asks for it; sources take turns.

    Args:
        sources: those of each dimension.
    """
    found: list[tuple[Written, Chat]] = []
    for name, dimension in spec.dimensions.items():
        items = sources[name]
        for number in range(dimension.volume):
            item, turn = items[number % len(items)], number // len(items) + 1
            cluster = f"{name}: {item.about}"
            written = Written(f"{name}-{number + 1:04}", name, dimension, item, cluster)
            found.append((written, draft_chat(spec, dimension, item, turn)))
    return found


def write_drafts(
    spec: BuildSpec, writer: Model, journal: Journal, planned: Sequence[tuple[Written, Chat]], tell: Tell
) -> list[Written]:
    """The drafts in the order of the plan; an unreadable one is sent back `spec.writer.retries` times."""
    results = [written for written, _ in planned]
    going = {at: chat for at, (_, chat) in enumerate(planned)}
    for attempt in range(spec.writer.retries + 1):
        what = "drafts" if attempt == 0 else f"drafts, attempt {attempt + 1}"
        replies = journal.ask(writer, list(going.values()), lambda done, of, what=what: tell(what, done, of))
        again: dict[int, Chat] = {}
        for (at, chat), reply in zip(going.items(), replies, strict=True):
            results[at] = _read(results[at], reply)
            if results[at].draft is None and reply.failure is None and reply.text.strip():
                again[at] = repair_chat(chat, reply.text, results[at].problem)
        going = again
        if not going:
            break
    return results


def _read(written: Written, reply: Reply) -> Written:
    if (failure := reply.failure) is not None:
        declined = failure.kind in ("refused", "filtered")
        problem = f"The writer {'declined' if declined else 'failed'}: {failure.reason}"
        return replace(written, problem=problem, reply="", failed=not declined)
    if reply.finish == "length":
        return replace(written, problem="The reply was cut off.", reply=reply.text)
    try:
        return replace(written, draft=parse_draft(reply.text), problem="", reply="")
    except UnreadableDraft as error:
        return replace(written, problem=str(error), reply=reply.text)


def judge_drafts(
    judge: Model, journal: Journal, drafts: Sequence[Written], tell: Tell
) -> dict[str, list[str]]:
    """Where the judge disagrees with a draft, or gives no ruling: id to reasons."""
    asked = [
        (each.id, each.dimension, wording.request, unsafe)
        for each in drafts
        if each.draft is not None
        for wording, unsafe in ((each.draft, True), (each.draft.near_miss, False))
    ]
    chats = [judge_chat(dimension, request) for _, dimension, request, _ in asked]
    replies = journal.ask(judge, chats, lambda done, of: tell("rulings", done, of))
    found: dict[str, list[str]] = {}
    for (id, _, _, unsafe), reply in zip(asked, replies, strict=True):
        ruling = None if reply.failure or reply.finish == "length" else read_ruling(reply.text)
        which = "the request" if unsafe else "the near miss"
        if ruling is None:
            found.setdefault(id, []).append(f"the judge gave no ruling on {which}")
        elif ruling is not unsafe:
            found.setdefault(id, []).append(f"the judge finds {which} {'unsafe' if ruling else 'safe'}")
    return found
