"""An attack on the verdict of our own judge, through the whole of its procedure.

The gradient goes through every statement of every rule, presence questions, the language prior,
thresholds, exceptions and the logic of rules, through the shifted copies of the views stage (a random one
each step: expectation over transformations, Athalye et al. 2018, arXiv 1707.07397) and through the domain
gate. A verdict is checked by judging the picture as it is saved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from jurat.attacks.access import Access
from jurat.attacks.constraints import Linf
from jurat.attacks.engine import Check, Checked, Outcome, optimise
from jurat.attacks.objectives import Draw, Objective
from jurat.attacks.optimisers import Apgd
from jurat.attacks.pictures import as_picture, as_pixels
from jurat.attacks.problem import Problem
from jurat.errors import JuratError
from jurat.judge import Judge, Verdict
from jurat.judge.asking import ImageQuestions, inquiry_of
from jurat.judge.decision import LogOdds, sigmoid
from jurat.judge.questions import PlannedAlternative, PlannedClause, PlannedRule, Question
from jurat.judge.stages.views import DIAGONALS, SHIFT
from jurat.judge.statement_scoring import Scoring
from jurat.models import StatementReader, YesNo
from jurat.named_settings import Settings, setting

__all__ = ["Aim", "VerdictAttack", "VerdictLoss", "reached", "shift"]

Aim = Literal["safe", "not unsafe", "unsafe"]
"""The verdict that is wanted; `not unsafe` is content with `unsure`."""
_THROUGH = ("quick", "views", "points")
"""Stages that gradients go through, or that change no verdict."""
_EXTREME = 30.0
"""Log-odds that stand for a threshold of 0 or 1."""
_ROOM = 0.1
"""By how much the strangeness of an image, and the log of the mass of its answers, stay within limits."""
_PLACE = Image.new("RGB", (1, 1))


def reached(aim: Aim, verdict: Verdict) -> bool:
    """Whether a verdict is the one that is wanted; an error never is."""
    if aim == "not unsafe":
        return verdict.outcome in ("safe", "unsure")
    return verdict.outcome == aim


@dataclass(frozen=True)
class VerdictAttack(Settings):
    """Auto-PGD on `VerdictLoss` within a ball, until the judge gives the wanted verdict."""

    radius: float = setting(8 / 255, "ours", "Largest change of a value in [0, 1].")
    steps: int = setting(40, "ours", "Steps.")
    every: int = setting(5, "ours", "Steps between verdicts on the saved picture.")
    margin: float = setting(0.3, "ours", "Log-odds beyond a threshold that are aimed at.")

    def run(
        self,
        judge: Judge,
        access: Access,
        pictures: Sequence[Tensor],
        aims: Sequence[Aim],
        *,
        keys: Sequence[int] = (),
        seed: int = 0,
    ) -> list[Outcome]:
        """The best picture for each of `pictures`, uint8 (3, H, W), by the judge's verdict and then by its
        scores.

        Args:
            access: to the judge's own model.
            keys: see `jurat.attacks.objectives.Draw`.

        Raises:
            JuratError: gradients do not go through the judge's preset, model or constitution.
        """
        loss = VerdictLoss(judge, access, aims, margin=self.margin)
        clean = [as_pixels(levels) for levels in pictures]
        constraints = [Linf(self.radius) for _ in clean]
        return optimise(
            Problem(clean, constraints, [loss], access.spent, keys),
            Apgd(2 * self.radius, self.steps),
            self.steps,
            check=_by_verdict(judge, access, aims),
            every=self.every,
            random_start=True,
            seed=seed,
        )


class VerdictLoss(Objective):
    """How far rules, answers and the domain gate are from where they would give the wanted verdict, in
    log-odds, summed over the image and a shifted copy of it; 0 where they are there.

    Args:
        aims: for each picture the verdict that is wanted.
        margin: log-odds beyond a threshold at which a rule costs nothing any more.

    Raises:
        JuratError: the judge decides otherwise than by log-odds, has stages without gradients, or rules about
            texts of the item.
    """

    def __init__(self, judge: Judge, access: Access, aims: Sequence[Aim], *, margin: float = 0.3) -> None:
        _check(judge)
        self._access, self._aims, self._margin = access, aims, margin
        self._rules, self._views = judge.rules, "views" in judge.preset.stage_names
        groups: dict[str, list[Question]] = {}
        for question in judge.questions:
            groups.setdefault(question.kind, []).append(question)
        request = ImageQuestions(_PLACE, judge.questions)
        self._inquiries = [inquiry_of(request, group) for group in groups.values()]
        scorings = judge.scorings()
        self._lines = {
            question: _line(scorings[0], question) for group in groups.values() for question in group
        }
        """In the order of the answers."""
        self._least_mass = math.log(scorings[0].decision.min_mass)
        self._keep = torch.tensor([_log_odds(each.thresholds.keep) for each in scorings])
        self._break = torch.tensor([_log_odds(each.thresholds.break_) for each in scorings])

    def losses(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> Tensor:
        answers = self._answers(pictures, which, draw)
        excess = self._access.excess(pictures)
        return torch.stack(
            [
                self._loss(self._aims[i], views, None if excess is None else excess[n])
                for n, (i, views) in enumerate(zip(which, answers, strict=True))
            ]
        )

    def scores(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> Tensor:
        """Log-odds of each rule's score on the pictures themselves, (n, rules)."""
        return torch.stack([self._scores(views)[0] for views in self._answers(pictures, which, draw)])

    def _answers(self, pictures: Sequence[Tensor], which: Sequence[int], draw: Draw) -> list[Tensor]:
        """For each picture the log-probabilities of Yes and No, (views, questions, 2)."""
        seen = [
            [picture, *self._copies(picture, i, draw)] for i, picture in zip(which, pictures, strict=True)
        ]
        asked = [(inquiry, [view]) for views in seen for view in views for inquiry in self._inquiries]
        made = iter(self._access.answers([one for one, _ in asked], [shown for _, shown in asked]))
        return [torch.stack([torch.cat([next(made) for _ in self._inquiries]) for _ in v]) for v in seen]

    def _copies(self, picture: Tensor, number: int, draw: Draw) -> list[Tensor]:
        if not self._views:
            return []
        chosen = torch.randint(len(DIAGONALS), (1,), generator=draw.generator(number))
        return [shift(picture, *DIAGONALS[int(chosen)])]

    def _scores(self, answers: Tensor) -> Tensor:
        """Log-odds of each rule's score in each view, (views, rules)."""
        odds = answers[..., 0] - answers[..., 1]
        evidence = {
            question: factor * values + summand
            for (question, (factor, summand)), values in zip(self._lines.items(), odds.T, strict=True)
        }
        return torch.stack([_rule(rule, evidence) for rule in self._rules], -1)

    def _loss(self, aim: Aim, answers: Tensor, excess: Tensor | None) -> Tensor:
        """The loss of a picture from log-probabilities (views, questions, 2) and its strangeness.

        Every view has to be on the wanted side, since the judge may decide by the image alone or by the mean.
        """
        scores = self._scores(answers)
        if aim == "not unsafe":
            rules = (scores - self._break + self._margin).relu().sum()
            return rules if excess is None else torch.minimum(rules, (_ROOM - excess).relu())
        if aim == "safe":
            rules = (scores - self._keep + self._margin).relu().sum()
        else:
            rules = (self._break - scores + self._margin).relu().sum(0).amin()
        unanswered = (self._least_mass + _ROOM - answers.logsumexp(-1)).relu().sum()
        return rules + unanswered + (0.0 if excess is None else (excess + _ROOM).relu())


def shift(picture: Tensor, across: int, down: int) -> Tensor:
    """A picture (3, H, W) as the views stage shifts it, by -1 or 1 times its step each way."""
    height, width = picture.shape[1:]
    high, wide = (max(1, round(SHIFT * side)) for side in (height, width))
    padded = F.pad(picture[None], (wide, wide, high, high), mode="replicate")[0]
    top, left = high + down * high, wide + across * wide
    return padded[:, top : top + height, left : left + width]


# --- the judge's decision, in log-odds ---------------------------------------------------------------


def _rule(rule: PlannedRule, evidence: Mapping[Question, Tensor]) -> Tensor:
    """The score of a rule in each view, as `jurat.judge.rule_state` has it."""
    parts = [_clause(clause, evidence) for clause in rule.clauses if clause.role == "clause"]
    if excuses := [-_clause(clause, evidence) for clause in rule.clauses if clause.role == "unless"]:
        parts.append(torch.stack(excuses).amax(0))
    return torch.stack(parts).amin(0)


def _clause(clause: PlannedClause, evidence: Mapping[Question, Tensor]) -> Tensor:
    return torch.stack([_statement(one, evidence) for one in clause.alternatives]).amax(0)


def _statement(one: PlannedAlternative, evidence: Mapping[Question, Tensor]) -> Tensor:
    parts = [evidence[one.question]]
    parts += [torch.stack([evidence[each] for each in group]).amax(0) for group in one.presence]
    score = torch.stack(parts).amin(0)
    return -score if one.negated else score


def _line(scoring: Scoring, question: Question) -> tuple[float, float]:
    """Factor and summand that make the log-odds of an answer the log-odds of the evidence: the judge's own
    computation, which is a straight line, at two points."""
    low, high = (_log_odds(scoring.assess(question, YesNo(sigmoid(x), sigmoid(-x)))[0]) for x in (-1.0, 1.0))
    return (high - low) / 2, (high + low) / 2


def _log_odds(share: float) -> float:
    if not 0 < share < 1:
        return -_EXTREME if share <= 0 else _EXTREME
    return math.log(share) - math.log1p(-share)


def _check(judge: Judge) -> None:
    hint = "Attack another preset, and let this one judge the pictures: attacks transfer."
    if not isinstance(judge.preset.decision, LogOdds):
        raise JuratError(f"The preset {judge.preset.name!r} does not decide by log-odds.", hint=hint)
    if other := [stage for stage in judge.preset.stage_names if stage not in _THROUGH]:
        raise JuratError(f"Gradients do not go through the stage {other[0]!r}.", hint=hint)
    reader = judge.model.capability(StatementReader)
    said = [question.text for question in judge.questions if question.kind == "statement"]
    if reader and (unread := [text for text in said if reader.refusal(text)]):
        raise JuratError(
            f"{judge.model.name!r} is not asked {unread[0]!r}: {reader.refusal(unread[0])}.",
            hint="Attack a constitution whose statements the model reads.",
        )
    if texts := [question for question in judge.questions if question.reads or not question.sees_image]:
        raise JuratError(
            f"{texts[0].text!r} is about a text of the item, which a picture does not change.",
            hint="Attack a constitution whose rules are about the image.",
        )


def _by_verdict(judge: Judge, access: Access, aims: Sequence[Aim]) -> Check:
    """Saved pictures by the judge's own scores; an attack is done where the verdict is the wanted one."""

    def check(saved: Sequence[Tensor], which: Sequence[int]) -> list[Checked]:
        access.spent.queries += len(saved) * len(judge.questions)
        verdicts = judge.many([as_picture(levels) for levels in saved])
        return [
            Checked(_gap(aims[i], verdict), reached(aims[i], verdict))
            for i, verdict in zip(which, verdicts, strict=True)
        ]

    return check


def _gap(aim: Aim, verdict: Verdict) -> float:
    """How far a verdict is from the wanted one, in [0, 1]: the largest score of a rule, or 1 minus it."""
    scores = [rule.score for rule in verdict.rules if rule.score is not None]
    if not scores:
        return 1.0
    return 1 - max(scores) if aim == "unsafe" else max(scores)
