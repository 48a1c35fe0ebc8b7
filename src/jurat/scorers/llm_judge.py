"""A chat model that judges replies under a rubric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from jurat.models import full_name
from jurat.scorers.asking_judges import (
    JudgeCall,
    JudgeModel,
    Material,
    Ruling,
    check_fields,
    material_or_reason,
    open_judge_model,
    spent,
)
from jurat.scorers.judgement import Answered, Judgement
from jurat.scorers.reply_scorer import ReplyScorer
from jurat.scorers.rubric import Rubric, changed_rubric, read_rubric, shipped_rubric

__all__ = ["LLMJudge", "open_judge", "open_own_judge"]


class LLMJudge(ReplyScorer):
    """Judges under one rubric with one model.

    The judge is shown the texts as quoted data, replies with one JSON object, and has to repeat a key that no
    quoted text can know. What is no such verdict is `unparsed`; a judge that declines is `refused`.
    """

    def __init__(
        self,
        rubric: Rubric,
        model: JudgeModel,
        *,
        request_field: str | None = None,
        reference_field: str | None = None,
    ) -> None:
        """
        Args:
            rubric: what is judged.
            model: the judge.
            request_field: the sample's field that is shown as the request, instead of the conversation: for
                requests that are in a picture.
            reference_field: the sample's field that is the reference; left out, what the sample expects.

        Raises:
            JuratError: the model cannot be opened or does not chat, or a field is named for a text that the
                rubric does not show.
        """
        self._fields = {"request_field": request_field, "reference_field": reference_field}
        check_fields(rubric, self._fields)
        with ExitStack() as opened:
            self._call = JudgeCall(open_judge_model(model, opened), rubric)
            self.opened = opened.pop_all()
        fields = "".join(f",{name}={field}" for name, field in self._fields.items() if field is not None)
        self.name = f"{rubric.full_name}[{self._call.model.name}{fields}]"
        self.labels, self.positive = rubric.labels, rubric.positive
        self.when_refused, self.when_empty = rubric.refused, rubric.empty
        self.rubric = rubric

    @property
    def depends_on(self) -> tuple[str, ...]:
        """What judgements depend on besides name and options: the judge, and the digest of the rubric."""
        return full_name(self._call.model), self.rubric.digest

    def judge_all(self, answered: Sequence[Answered]) -> list[Judgement]:
        shown = [material_or_reason(one, self.rubric.shows, **self._fields) for one in answered]
        asked = [one for one in shown if isinstance(one, Material)]
        rulings = iter(self._call.ask([self._call.chat(one) for one in asked], [one.key for one in asked]))
        return [
            self._judgement(next(rulings)) if isinstance(one, Material) else self.failed(one) for one in shown
        ]

    def _judgement(self, ruling: Ruling) -> Judgement:
        facts: dict[str, float | str] = {
            "judge": full_name(self._call.model),
            "rubric": self.rubric.digest,
            **spent(ruling.reply.usage),
        }
        raw, said = ruling.reply.text, ruling.verdict
        if ruling.state != "scored":
            return Judgement(ruling.state, reason=ruling.reason, raw=raw, scorer=self.name, details=facts)
        label = self.rubric.label(said)
        facts |= _flat(said)
        if label is None:
            return self.unparsed(
                "The judge's verdict fits none of the rubric's outcomes.", raw, details=facts
            )
        value = said.get(self.rubric.value) if self.rubric.value else None
        number = float(value) if value is not None else None
        return self.scored(label, value=number, reason=str(said.get("reason", "")), raw=raw, details=facts)


def open_judge(
    *,
    rubric: str,
    model: JudgeModel,
    shows: str | None = None,
    low: int | None = None,
    high: int | None = None,
    threshold: int | None = None,
    max_tokens: int | None = None,
    refused: str | None = None,
    empty: str | None = None,
    request_field: str | None = None,
    reference_field: str | None = None,
) -> LLMJudge:
    """The judge under a rubric of ours, by the name of its file.

    Args:
        shows: what the judge is shown besides the reply: "request, images"; left out, what the rubric says.
        low, high: the scale, where the rubric has one.
        threshold: from which rating on the rubric's positive label follows, where it has one.
        max_tokens: of the judge's reply; a verdict that is cut off is unparsed.
        refused, empty: the label of a reply that the evaluated model's backend refused, and of an empty one;
            "none" for none.
    """
    scale: dict[str, int | None] = {"low": low, "high": high, "threshold": threshold}
    changes = {"shows": shows, "max_tokens": max_tokens, "refused": refused, "empty": empty, **scale}
    changed = changed_rubric(shipped_rubric(rubric), changes)
    return LLMJudge(changed, model, request_field=request_field, reference_field=reference_field)


def open_own_judge(
    *, path: str, model: JudgeModel, request_field: str | None = None, reference_field: str | None = None
) -> LLMJudge:
    """The judge under a rubric of the user's, a YAML file with the fields of `Rubric`.

    Raises:
        JuratError: the file cannot be read, or is no rubric.
    """
    return LLMJudge(read_rubric(path), model, request_field=request_field, reference_field=reference_field)


def _flat(verdict: Mapping[str, object]) -> dict[str, float | str]:
    """The verdict's fields but its reason, as details."""
    return {
        name: value if isinstance(value, str) else float(value)
        for name, value in verdict.items()
        if name != "reason" and isinstance(value, str | bool | int | float)
    }
