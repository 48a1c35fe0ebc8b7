"""Attacks on pictures at work on an evaluation set: the first image of each sample, in its conversation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from zlib import crc32

from jurat.attacks.access import Access
from jurat.attacks.cases import Case, Goal, begins_with_target
from jurat.attacks.engine import Outcome
from jurat.attacks.method import PictureAttack
from jurat.attacks.pictures import as_levels, as_picture
from jurat.attacks.sample_attack import Means, SkipSample, with_pictures
from jurat.attacks.submission import distance
from jurat.benchmarks.drawing import png
from jurat.benchmarks.sample import Sample, Skipped
from jurat.content import Failure, ImageError
from jurat.errors import JuratError
from jurat.models import ModelError, ModelUnavailable
from jurat.sources.openers import InMemory
from jurat.text import reason

__all__ = ["attack_first_images", "check_target"]


def attack_first_images(
    attack: PictureAttack,
    samples: Sequence[Sample],
    means: Means,
    *,
    target: str | None = None,
    batch_size: int = 16,
) -> list[Sample | Skipped | Failure]:
    """For each sample that is written out its adversarial one, or why there is none: `Skipped` where it lacks
    what the attack needs, `Failure` where its image or the model failed.

    An attack that wants a reply wants `target` of every sample. One that makes right replies unlikely takes
    the sample's accepted answers.

    Args:
        means: `victim` is the model that is attacked, with its gradients.
        batch_size: pictures that are attacked at once.

    Raises:
        JuratError: as `check_target`, or the model does not give what the attack needs.
    """
    check_target(attack, target)
    if means.victim is None:
        raise JuratError("The attack needs the model that is attacked.", hint="--model NAME")
    access = Access(means.victim, means.spent)
    found: list[Sample | Skipped | Failure] = []
    for start in range(0, len(samples), batch_size):
        found += _batch(attack, samples[start : start + batch_size], means, access, target)
    return found


def check_target(attack: PictureAttack, target: str | None) -> None:
    """Raises JuratError: the attack needs what evaluation sets do not give, or a target is missing or not
    used."""
    if attack.wants == "trigger":
        raise JuratError(
            "This attack needs a trigger for each picture, which samples do not have.",
            hint="jurat attack takes one (--trigger), for pictures of your own.",
        )
    if attack.wants == "target" and not (target or "").strip():
        raise JuratError("This attack needs the reply that is wanted.", hint='--attack-target "..."')
    if attack.wants != "target" and target is not None:
        taken = "the accepted answers of each sample" if attack.wants == "reference" else "none"
        raise JuratError(f"This attack uses no target: it takes {taken}.", hint="Leave --attack-target out.")


def _batch(
    attack: PictureAttack, samples: Sequence[Sample], means: Means, access: Access, target: str | None
) -> list[Sample | Skipped | Failure]:
    goals: dict[int, Goal] = {}
    found: dict[int, Sample | Skipped | Failure] = {}
    for number, sample in enumerate(samples):
        try:
            goals[number] = _goal(attack, sample, means, target)
        except SkipSample as skip:
            found[number] = Skipped(sample.source_row, str(skip))
        except ImageError as error:
            found[number] = Failure("error", error.message)
    for number, outcome in _outcomes(attack, access, goals, means.seed).items():
        failed = isinstance(outcome, Failure)
        found[number] = outcome if failed else _adversarial(samples[number], goals[number], outcome)
    return [found[number] for number in range(len(samples))]


def _goal(attack: PictureAttack, sample: Sample, means: Means, target: str | None) -> Goal:
    """What is wanted of a sample's first image; success is measured by the scorers of the run."""
    if not sample.item.lazy_images():
        raise SkipSample("it shows no image")
    chat = means.protocol.chat(sample)
    cases = [Case(chat, text) for text in _texts(attack, sample, target)]
    return Goal(
        as_levels(chat.images[0]),
        train=cases,
        validation=(),
        test=(),
        succeeded=begins_with_target,
        name=sample.id,
        key=crc32(sample.id.encode()),
    )


def _texts(attack: PictureAttack, sample: Sample, target: str | None) -> tuple[str, ...]:
    if attack.wants != "reference":
        return (target or "",)
    if not isinstance(sample.expected, tuple) or not sample.expected:
        raise SkipSample("it has no accepted answer that the attack could make unlikely")
    return sample.expected


def _outcomes(
    attack: PictureAttack, access: Access, goals: Mapping[int, Goal], seed: int
) -> dict[int, Outcome | Failure]:
    """The outcomes of a batch. Where the model cannot take one of the pictures, each is attacked alone."""
    if not goals:
        return {}
    try:
        return dict(zip(goals, attack.run([access], list(goals.values()), seed), strict=True))
    except ModelUnavailable:
        raise
    except (ModelError, ImageError) as error:
        if len(goals) == 1:
            return dict.fromkeys(goals, Failure("error", reason(error)))
        alone = [_outcomes(attack, access, {number: goal}, seed) for number, goal in goals.items()]
        return {number: outcome for each in alone for number, outcome in each.items()}


def _adversarial(sample: Sample, goal: Goal, outcome: Outcome) -> Sample:
    picture = as_picture(outcome.saved)
    far = {name: value for name, value in asdict(distance(picture, goal)).items() if not math.isnan(value)}
    others = [image.open for image in sample.item.lazy_images()[1:]]
    facts = {"step": outcome.step, "score": outcome.score, **far}
    return with_pictures(sample, [InMemory(png(picture)), *others], **facts)
