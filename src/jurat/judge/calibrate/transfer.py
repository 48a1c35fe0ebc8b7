"""Transfers the thresholds of a calibration to another model, without labels.

Both models judge the same images. A rule's threshold on the old model's scores is replaced by the one that
decides as many of these images by the new model's (`jurat.judge.calibrate.score_matching`). It is matched
rule by rule and not clause by clause: a rule is broken exactly if its own score lies above its threshold.

This assumes that the two models rank images alike, which images without labels cannot show. So no bound is
transferred: nothing is proved about the share of violations that the new thresholds miss. Labels prove one
(`jurat.judge.calibrate.fit`): if a share b of all violations lies below the threshold, then none of n
labelled violations does with a probability of (1 - b)^n. For b = 5% that is below 5% from n = 59 on (0.95^59
= 0.0485), the smallest n for which `allowed` returns 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jurat.constitution.constitution import Constitution, meaning_digest
from jurat.content import Item
from jurat.errors import JuratError
from jurat.judge.calibrate.calibration import Bounds, Calibration, Match, Transfer
from jurat.judge.calibrate.fit import Fit, fit
from jurat.judge.calibrate.score_matching import SIDES, NotMatched, Side, match_threshold
from jurat.judge.judge import Judge
from jurat.judge.record import row_to_verdict
from jurat.judge.verdict import Verdict
from jurat.runs import read_rows

MOST_UNSCORED = 0.2
"""Largest share of the images that one of the models may leave without a score of a rule."""


@dataclass
class RuleScores:
    """A model's scores of the rules on some images."""

    images: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """SHA-256 of an image, so that copies count once -> rule id -> its score, where it has one."""
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Reason for leaving verdicts out -> how many."""

    def add(self, verdict: Verdict) -> None:
        """Adds the scores of a verdict, if the model itself judged one image."""
        if verdict.outcome == "error" or verdict.sha256 is None:
            self.left_out["could not be judged"] += 1
        elif verdict.basis != "model" or verdict.reused is not None:
            self.left_out["taken over from another item"] += 1
        elif verdict.kind != "image":
            self.left_out["of several frames or images"] += 1
        else:
            scores = {rule.id: rule.score for rule in verdict.rules if rule.score is not None}
            self.images[verdict.sha256] = scores


def judged_scores(judge: Judge, items: Iterable[Item]) -> RuleScores:
    """The judge's scores of the images in `items`."""
    found = RuleScores()
    for verdict in judge.stream(items):
        found.add(verdict)
    return found


def recorded_scores(record: Path | str, calibration: Calibration) -> RuleScores:
    """The scores in a file or folder that `jurat judge --out` wrote with this calibration.

    Raises:
        JuratError: it cannot be read, holds no verdicts, or was judged with another calibration or without.
    """
    found = RuleScores()
    verdict = None
    for row in read_rows(record):
        verdict = row_to_verdict(row)
        if verdict.calibration != calibration.digest:
            with_ = "no calibration" if verdict.calibration is None else verdict.calibration
            raise JuratError(
                f"{record} was judged with {with_}, and these thresholds are of {calibration.digest}: they "
                "mean nothing for its scores.",
                hint=f"Name verdicts of: jurat judge --calibration FILE, with {calibration.model}.",
            )
        found.add(verdict)
    if verdict is None:
        raise JuratError(f"{record} holds no verdicts.")
    return found


def transfer(
    old: Calibration,
    scores: RuleScores,
    judge: Judge,
    items: Iterable[Item],
    *,
    constitution: Constitution | None = None,
) -> Fit:
    """A calibration of the judge's model with the thresholds of `old`, without a bound.

    Debiasing is fitted to the images without labels, as `fit` does; then thresholds are matched on the scores
    that it gives.

    Args:
        old: a calibration with thresholds.
        scores: scores of the same images by its model under it (`judged_scores`, `recorded_scores`).
        judge: a judge with the new model, without a calibration.
        items: the images. They are iterated twice.
        constitution: the constitution that `old` was fitted for, if it is not the judge's; only rules that
            mean the same in both are transferred.

    Raises:
        JuratError: `old` has no thresholds or another constitution, `fit` refuses the images, or no threshold
            at all could be transferred.
        MissingExtra: scipy is not installed.
    """
    check_transferable(old, constitution or judge.constitution)
    fitted = fit(judge, items)
    debiased = Judge(
        judge.constitution,
        judge.model,
        judge.preset,
        calibration=fitted.calibration,
        detector=judge.detector or "none",
        matcher=judge.matcher or "none",
        batch_size=judge.batch_size,
        sampling=judge.sampling,
        allow_unknown=True,  # what is unknown was refused, or allowed, when `judge` was opened
    )
    now = judged_scores(debiased, items)
    both = [image for image in now.images if image in scores.images]
    matched, left_out = _matched(old, constitution, judge.constitution, scores, now, both)
    if not matched:
        reasons = "\n".join(f"  {name}: {why}." for name, why in left_out.items())
        raise JuratError(
            f"No threshold could be transferred on the {len(both):,} images that both models judged.",
            hint=f"Name more images.\n{reasons}",
        )
    found = Transfer(
        calibration=old.digest,
        model=old.model,
        images=len(both),
        keep_below={rule: match for rule, side, _, match in matched if side == "keep_below"},
        break_above={rule: match for rule, side, _, match in matched if side == "break_above"},
        left_out=left_out,
    )
    fitted.calibration = fitted.calibration.model_copy(
        update={
            "rules": {rule: _bounds(rule, matched) for rule in dict.fromkeys(rule for rule, *_ in matched)},
            "transferred": found,
            "views": judge.preset.views,
            "presence": judge.preset.presence,
        }
    )
    fitted.warnings += _warnings(old, scores, now, len(both))
    return fitted


def check_transferable(old: Calibration, constitution: Constitution) -> None:
    """Checks that a calibration has thresholds and was fitted for a constitution.

    Raises:
        JuratError: it has none, or was fitted for another constitution.
    """
    thresholds = [getattr(bounds, side) for bounds in old.rules.values() for side in SIDES]
    if all(threshold is None for threshold in thresholds):
        raise JuratError(
            f"The calibration of {old.model} has no thresholds to transfer.",
            hint="Without labels a calibration has none. Fit the new model alone: jurat calibrate, without "
            "--from.",
        )
    if old.constitution != constitution.digest:
        raise JuratError(
            f"The thresholds were fitted for the constitution {old.constitution}, not {constitution.digest}.",
            hint="Name that constitution: --from-constitution FILE. What is the same in both is transferred.",
        )


_Matched = tuple[str, Side, float, Match]


def _matched(
    old: Calibration,
    before: Constitution | None,
    after: Constitution,
    scores: RuleScores,
    now: RuleScores,
    both: Sequence[str],
) -> tuple[list[_Matched], dict[str, str]]:
    """Rule, side, new threshold and match of each transferred threshold; and why others were not."""
    found: list[_Matched] = []
    left_out: dict[str, str] = dict(_other_rules(old, before, after))
    for rule in after.rules:
        if rule.id in left_out:
            continue
        pairs = [
            (scores.images[image][rule.id], now.images[image][rule.id])
            for image in both
            if rule.id in scores.images[image] and rule.id in now.images[image]
        ]
        for side in SIDES:
            threshold = getattr(old.rules.get(rule.id, Bounds()), side)
            try:
                value, match = _match(threshold, getattr(rule, side), pairs, len(both), side)
            except NotMatched as why:
                left_out[f"{rule.id}, {side}"] = str(why)
            else:
                found.append((rule.id, side, value, match))
    return found, left_out


def _match(
    threshold: float | None,
    own: float | None,
    pairs: Sequence[tuple[float, float]],
    images: int,
    side: Side,
) -> tuple[float, Match]:
    if own is not None:
        raise NotMatched("the constitution sets it itself")
    if threshold is None:
        raise NotMatched("the old calibration has none, for lack of labels")
    if images - len(pairs) > MOST_UNSCORED * images:
        raise NotMatched(
            f"{images - len(pairs):,} of the {images:,} images have no score of one of the models"
        )
    before, after = [one for one, _ in pairs], [other for _, other in pairs]
    return match_threshold(threshold, before, after, side)


def _bounds(rule: str, matched: Sequence[_Matched]) -> Bounds:
    values = {side: value for name, side, value, _ in matched if name == rule}
    return Bounds(keep_below=values.get("keep_below"), break_above=values.get("break_above"))


def _other_rules(
    old: Calibration, before: Constitution | None, after: Constitution
) -> Iterator[tuple[str, str]]:
    """The rules that cannot be transferred since they are not in both constitutions, or changed."""
    known = {rule.id: meaning_digest([rule]) for rule in (before or after).rules}
    wanted = {rule.id: meaning_digest([rule]) for rule in after.rules}
    for rule in (*after.rules, *(rule for rule in (before or after).rules if rule.id not in wanted)):
        if rule.id not in known:
            yield rule.id, "the old constitution does not have this rule"
        elif rule.id not in wanted:
            if rule.id in old.rules:
                yield rule.id, "the new constitution does not have this rule"
        elif known[rule.id] != wanted[rule.id]:
            yield rule.id, "it was changed, and its scores are those of another rule"


def _warnings(old: Calibration, scores: RuleScores, now: RuleScores, both: int) -> Iterator[str]:
    if missing := len(now.images) - both:
        total = len(now.images)
        yield f"{missing:,} of {total:,} images have no verdict of the old model: they were left out."
    whys: Mapping[str, int] = scores.left_out + now.left_out
    if whys:
        counts = ", ".join(f"{count:,} {why}" for why, count in whys.items())
        yield f"Verdicts of either model that were not used: {counts}."
    if old.frame_alarms:
        yield (
            "The frames needed of videos are not transferred: the default is used until videos are labelled "
            "for the new model."
        )
    if old.transferred is not None:
        yield f"The old thresholds were transferred themselves, from {old.transferred.model}."
