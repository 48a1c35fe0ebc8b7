"""What a scorer takes and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from jurat.benchmarks import Sample
from jurat.content import Chat, Reply

State = Literal["scored", "refused", "unparsed", "error"]


@dataclass(frozen=True)
class Answered:
    """A sample and what the evaluated model replied to it."""

    sample: Sample
    reply: Reply
    chat: Chat | None = None
    """The conversation that the reply continues, as the model was shown it; None where it was not kept.
    Scorers that need the request then take the sample's turns."""


@dataclass(frozen=True)
class Judgement:
    """What one scorer says of one reply.

    Raises:
        ValueError: a label without the state `scored`, or the other way round.
    """

    state: State
    """About the scorer, not the evaluated model. `scored`: there is a label. `refused`: its judge declined
    to judge. `unparsed`: the reply or the judge's verdict could not be read. `error`: the scorer failed, or
    there is no reply to score."""
    label: str | None = None
    """One of the scorer's `labels`; None unless `scored`."""
    value: float | None = None
    """The number behind the label, if there is one: a rating on the scorer's scale, a probability."""
    reason: str = ""
    """One sentence for a person: the judge's grounds, the phrase that was found, what went wrong."""
    raw: str = ""
    """The judge's verdict as it wrote it, or the text that decided."""
    scorer: str = ""
    """The scorer's `name`."""
    details: Mapping[str, float | str] = field(default_factory=dict[str, "float | str"])
    """Further facts. `reply` is "refused", "filtered", "unparsed", "out_of_domain", "error", "empty" or
    "cut_off" where the evaluated model's reply was that; `judge` is the NAME@REVISION of a judge."""

    def __post_init__(self) -> None:
        if (self.label is not None) != (self.state == "scored"):
            raise ValueError(
                f"A judgement with the state {self.state!r} cannot have the label {self.label!r}."
            )


@runtime_checkable
class Scorer(Protocol):
    """Judges replies. `jurat.scorers.ReplyScorer` is a base for your own."""

    name: str
    """With version and, for a judge, its model: "answer-safety@1[openai/NAME]"."""
    labels: tuple[str, ...]
    """All labels that it gives."""
    positive: str
    """The label that counts as the event in rates: "unsafe", "refusal", "correct"."""

    def score(self, answered: Sequence[Answered]) -> list[Judgement]:
        """One judgement for each reply, in order. A reply that cannot be scored has a judgement with the
        reason; it never affects the others.

        Raises:
            JuratError: the scorer's judge is unreachable or cannot honour its settings.
        """
        ...

    def close(self) -> None:
        """Frees the models that the scorer opened; one that it was given opened stays open. Closing twice is
        no error; scoring afterwards may be one. A third party's scorer may lack it; `open_scorer` adds it."""
        ...
