"""The constitution judge on replies: rules with clauses about a response or a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import cast

from PIL import Image

from jurat.constitution import Constitution
from jurat.content import Item, Turn
from jurat.errors import JuratError
from jurat.judge import Judge, Verdict
from jurat.judge.questions import askers
from jurat.models import full_name
from jurat.scorers.asking_judges import JudgeModel
from jurat.scorers.judgement import Answered, Judgement, State
from jurat.scorers.reply_scorer import ReplyScorer
from jurat.text import reason

_NOT_SHOWN = Image.new("RGB", (1, 1))
"""The image of an item whose rules are about texts alone: the judge needs one and shows it to nobody."""
_STATES: dict[str, State] = {"refused": "refused", "filtered": "refused", "error": "error"}
"""By the reason of an item that is unsure; it is `unparsed` for any other."""


class ConstitutionJudge(ReplyScorer):
    """The judge of `jurat judge` on the reply as the last turn of its conversation.

    `unsafe` and `safe` are its outcomes; `unsure` is neither and leaves the judgement without a label.
    """

    labels = ("unsafe", "safe")
    positive = "unsafe"

    def __init__(
        self,
        *,
        constitution: Constitution | str,
        model: JudgeModel,
        preset: str = "jurat",
        without: str = "",
    ) -> None:
        """
        Args:
            constitution: one that was loaded, a path, or "shelf:NAME". Each rule has a clause about the
                response or the conversation.
            model: answers the judge's questions.
            preset: of `jurat.judge.presets.PRESETS`.
            without: parts of the preset to leave out, with commas.

        Raises:
            JuratError: the judge cannot be opened, or a rule does not look at the reply.
        """
        parts = [part.strip() for part in without.split(",") if part.strip()]
        with ExitStack() as opened:
            self._judge = opened.enter_context(Judge(constitution, model, preset, without=parts))
            self._check()
            self.opened = opened.pop_all()
        judge = self._judge
        self._sees_images = any(question.sees_image for question in judge.questions)
        rules = f"{judge.constitution.name}@{judge.constitution.digest}"
        self.name = f"constitution@1[{rules},{judge.model.name},{judge.preset.name}]"

    def _check(self) -> None:
        """Refuses rules that do not look at the reply. Raises JuratError."""
        judge = self._judge
        reading = {
            id
            for question in judge.questions
            if question.reads in ("response", "conversation")
            for id in askers(judge.rules, question)
        }
        if blind := [rule.rule.id for rule in judge.rules if rule.rule.id not in reading]:
            raise JuratError(
                f"Rules of {judge.constitution.name!r} say nothing about a reply: {', '.join(blind)}.",
                hint="Give each a clause with `about: response` or `about: conversation`.",
            )

    @property
    def depends_on(self) -> tuple[str, ...]:
        """What judgements depend on besides name and options: the judge, and the digest of its preset."""
        return full_name(self._judge.model), self._judge.preset.digest

    def judge_all(self, answered: Sequence[Answered]) -> list[Judgement]:
        shown = [self._item(one) for one in answered]
        verdicts = iter(self._judge.many([one for one in shown if isinstance(one, Item)]))
        return [
            self._judgement(next(verdicts)) if isinstance(one, Item) else self.failed(one) for one in shown
        ]

    def _item(self, answered: Answered) -> Item | str:
        """What is judged, or why nothing can be."""
        given = answered.sample.item if answered.chat is None else Item(turns=answered.chat.turns)
        turns = list(given.turns)
        text = answered.reply.text
        if turns and turns[-1].role == "assistant":  # the reply continues it
            text = turns.pop().text + text
        turns.append(Turn("assistant", (text,)))
        id = answered.sample.id
        if not self._sees_images:
            plain = [Turn(turn.role, (turn.text,)) for turn in turns]
            return Item([_NOT_SHOWN], id=id, caption=given.caption, turns=plain)
        try:
            in_turns = any(turn.images for turn in turns)
            images = () if in_turns else given.found()
            if not images and not in_turns:
                return "Rules are about the image as well, and the conversation has none."
            return Item(images, id=id, caption=given.caption, turns=turns)
        except Exception as error:  # a third party's item may raise anything
            return f"The images cannot be found: {reason(error)}"

    def _judgement(self, verdict: Verdict) -> Judgement:
        facts: dict[str, float | str] = {
            "judge": full_name(self._judge.model),
            "constitution": verdict.constitution,
            "preset": f"{verdict.preset}@{verdict.preset_digest}",
            "outcome": verdict.outcome,
            "broken": ", ".join(verdict.broken),
        }
        why = verdict.error or verdict.explain()
        if verdict.outcome in ("safe", "unsafe"):
            scores = [rule.score for rule in verdict.rules if rule.score is not None]
            value = max(scores) if len(scores) == len(verdict.rules) else None
            return self.scored(verdict.outcome, value=value, reason=why, details=facts)
        if verdict.outcome == "error":
            return self.failed(why, details=facts)
        state = _STATES.get(cast(str, verdict.reason), "unparsed")
        facts["unsure"] = str(verdict.reason)
        return Judgement(state, reason=why, scorer=self.name, details=facts)
