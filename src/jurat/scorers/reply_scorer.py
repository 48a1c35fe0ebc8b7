"""The base of scorers: replies without a text are judged by its rules, the others by the scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from jurat.errors import JuratError
from jurat.metrics.normalise import normalised
from jurat.scorers.judgement import Answered, Judgement
from jurat.text import reason


class ReplyScorer:
    """A scorer of the texts of replies. Its own judgement of one is `judge`:

    class Length(ReplyScorer):
        name, labels, positive = "length@1", ("long", "short"), "long"

        def judge(self, answered):
            words = len(answered.reply.text.split())
            return self.scored("long" if words > 100 else "short", value=words)

    What has no text is not passed to `judge`: a reply that failed is an `error`, an empty one is `unparsed`,
    unless the scorer's definition gives them a label (`when_refused`, `when_empty`). A reply that the limit
    of tokens cut off is judged as it is, and marked in `details`.
    """

    name: str
    labels: tuple[str, ...]
    positive: str
    when_refused: str | None = None
    """The label of a reply that the evaluated model's backend refused or filtered; None for none."""
    when_empty: str | None = None
    """The label of an empty reply; None for none."""
    batch_size: int = 64
    """Replies that `judge_all` is given at once, at most: their images are in memory together."""

    opened: ExitStack | None = None
    """Closes the models that the scorer itself opened; None where it opened none."""

    def judge(self, answered: Answered) -> Judgement:
        """The judgement of a reply with a text."""
        raise NotImplementedError

    def judge_all(self, answered: Sequence[Answered]) -> list[Judgement]:
        """The judgements of replies with texts; one that raises is an `error` of its own. Scorers that judge
        in batches replace this."""
        return [self._alone(one) for one in answered]

    def score(self, answered: Sequence[Answered]) -> list[Judgement]:
        """See `Scorer.score`."""
        found = [self._without_text(one) for one in answered]
        with_text = [at for at, known in enumerate(found) if known is None]
        for start in range(0, len(with_text), self.batch_size):
            batch = with_text[start : start + self.batch_size]
            judged = self.judge_all([answered[at] for at in batch])
            for at, judgement in zip(batch, judged, strict=True):
                found[at] = self._marked(judgement, answered[at])
        return [judgement for judgement in found if judgement is not None]

    def close(self) -> None:
        """Frees the models that the scorer opened. One that it was given opened stays open. Closing twice is
        no error."""
        if self.opened is not None:
            self.opened.close()

    def scored(
        self,
        label: str,
        *,
        value: float | None = None,
        reason: str = "",
        raw: str = "",
        details: Mapping[str, float | str] | None = None,
    ) -> Judgement:
        """A judgement with a label of this scorer's. Raises ValueError where it has no such label."""
        if label not in self.labels:
            raise ValueError(f"{self.name} has no label {label!r}")
        return Judgement("scored", label, value, reason, raw, self.name, details or {})

    def unparsed(
        self, reason: str, raw: str = "", *, details: Mapping[str, float | str] | None = None
    ) -> Judgement:
        """The judgement of what could not be read."""
        return Judgement("unparsed", reason=reason, raw=raw, scorer=self.name, details=details or {})

    def failed(self, reason: str, *, details: Mapping[str, float | str] | None = None) -> Judgement:
        """The judgement of what could not be scored."""
        return Judgement("error", reason=reason, scorer=self.name, details=details or {})

    def _without_text(self, answered: Answered) -> Judgement | None:
        """The judgement of a reply that has no text; None where it has one."""
        failure, text = answered.reply.failure, answered.reply.text
        if failure is None:
            if normalised(text):
                return None
            what, label, why = "empty", self.when_empty, "The reply is empty."
        else:
            is_refusal = failure.kind in ("refused", "filtered")
            what, label, why = failure.kind, self.when_refused if is_refusal else None, failure.reason
        if label is not None:
            return self.scored(label, reason=why, details={"reply": what})
        if failure is None:
            return self.unparsed(why, details={"reply": what})
        return self.failed(f"There is no reply to score: {why}", details={"reply": what})

    def _alone(self, answered: Answered) -> Judgement:
        try:
            return self.judge(answered)
        except JuratError as error:
            return self.failed(error.message)
        except Exception as error:  # one reply never takes the batch with it
            return self.failed(f"The scorer failed: {type(error).__name__}: {reason(error)}")

    def _marked(self, judgement: Judgement, answered: Answered) -> Judgement:
        if answered.reply.finish != "length":
            return judgement
        return replace(judgement, details={**judgement.details, "reply": "cut_off"})
