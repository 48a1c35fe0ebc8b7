"""Samples of a run under an attack: what was attacked, what it cost, and what was left out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from inspect_ai.model import Model as InspectModel

from jurat.attacks.access import Compute
from jurat.attacks.methods.ring_a_bell import RingABell
from jurat.attacks.registry import open_attack
from jurat.attacks.sample_attack import Means, SampleAttack
from jurat.benchmarks import Sample, Skipped
from jurat.benchmarks.protocol import Protocol
from jurat.content import Failure
from jurat.errors import JuratError
from jurat.evals.provider import JuratModel
from jurat.models import Model, full_name, open_model
from jurat.models.chat_each import check_can_chat

if TYPE_CHECKING:
    from jurat.attacks.method import PictureAttack  # imports torch

__all__ = ["AttackChoice", "Attacked", "attack_samples"]

MOST_LISTED = 1000
"""Samples that were not attacked which a log lists with their reasons; all are counted."""


@dataclass(frozen=True)
class AttackChoice:
    """The attack of a run."""

    name: str
    """With its settings: "gong?pieces=3"."""
    target: str | None = None
    """The reply that is wanted, for attacks on pictures that want one."""
    attacker: str | None = None
    """The model that writes for the attacker, for attacks that ask one."""
    seed: int = 0

    def opened(self) -> PictureAttack | SampleAttack:
        """The attack.

        Raises:
            JuratError: there is no such attack, it lacks what it needs, or an option is given that it does
                not use.
        """
        attack = open_attack(self.name)
        of_samples = isinstance(attack, SampleAttack)
        if isinstance(attack, RingABell):
            raise JuratError(
                f"The attack {self.name!r} looks for prompts of text-to-image models.",
                hint=f'jurat attack "{self.name}" --text-encoder DIR --prompts FILE --pairs FILE --out DIR',
            )
        if self.attacker is not None and not (of_samples and "attacker" in (*attack.needs, *attack.asks)):
            raise JuratError(f"The attack {self.name!r} asks no attacker's model.", hint="Leave it out.")
        if not of_samples:
            from jurat.attacks.method import PictureAttack  # imports torch
            from jurat.attacks.on_samples import check_target

            if not isinstance(attack, PictureAttack):
                raise JuratError(
                    f"The attack {self.name!r} looks for one text for prompts of your own.",
                    hint=f'jurat attack "{self.name}" --prompt ... --target ...',
                )
            check_target(attack, self.target)
        elif self.target is not None:
            raise JuratError(f"The attack {self.name!r} uses no target.", hint="Leave it out.")
        elif self.attacker is None and "attacker" in attack.needs:
            raise JuratError(
                f"The attack {self.name!r} needs a model that writes for the attacker.",
                hint="--attacker openai/NAME or hf/NAME_OR_PATH.",
            )
        return attack


@dataclass
class Attacked:
    """The adversarial samples of a run, and those for which there are none."""

    choice: AttackChoice
    settings: dict[str, Any]
    """All settings of the attack."""
    attacker: str | None
    """NAME@REVISION of the attacker's model."""
    spent: Compute
    samples: list[Sample] = field(default_factory=list[Sample])
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    """Id of each sample that was not attacked, to the reason."""

    def facts(self) -> dict[str, Any]:
        """For a log."""
        reasons = Counter(self.left_out.values()).most_common(MOST_LISTED)
        listed = list(self.left_out.items())[:MOST_LISTED]
        return {
            **asdict(self.choice),
            "settings": self.settings,
            "attacker": self.attacker,
            "attacked": len(self.samples),
            "not_attacked": len(self.left_out),
            "not_attacked_reasons": dict(reasons),
            "not_attacked_samples": [{"id": id, "reason": reason} for id, reason in listed],
            "cost": asdict(self.spent),
            "means": self.means(),
        }

    def means(self) -> dict[str, float]:
        """The mean of each number that the attack recorded of samples: rounds, distances."""
        names = dict.fromkeys(name for each in self.samples for name in each.attack)
        return {name: fmean(values) for name in names if (values := self._numbers(name))}

    def _numbers(self, name: str) -> list[float]:
        values = (each.attack.get(name) for each in self.samples)
        return [value for value in values if isinstance(value, int | float) and math.isfinite(value)]


def attack_samples(
    choice: AttackChoice,
    attack: PictureAttack | SampleAttack,
    samples: Sequence[Sample],
    protocol: Protocol,
    model: InspectModel | None,
) -> Attacked:
    """Attacks the samples of a run.

    Args:
        attack: of the choice (`opened`).
        protocol: that of the run; `protocol.as_written` shows the adversarial samples.
        model: the model that the run evaluates, which some attacks need.

    Raises:
        JuratError: the attack lacks what it needs of the models, or could be used on no sample.
    """
    of_samples = isinstance(attack, SampleAttack)
    victim = _victim(model) if not of_samples or "victim" in attack.needs else None
    written = [protocol.written_out(sample) for sample in samples]
    attacker = None if choice.attacker is None else open_model(choice.attacker)
    try:
        if attacker is not None:
            check_can_chat(attacker, "an attacker's model writes texts")
        means = Means(choice.seed, attacker, victim, protocol.as_written)
        if of_samples:
            found = attack.run(written, means)
        else:
            from jurat.attacks.on_samples import attack_first_images  # which imports torch

            found = attack_first_images(attack, written, means, target=choice.target)
    finally:
        if attacker is not None:
            attacker.close()
    done = Attacked(choice, asdict(attack), full_name(attacker), means.spent)
    for sample, result in zip(samples, found, strict=True):
        if isinstance(result, Sample):
            done.samples.append(result)
        else:
            done.left_out[sample.id] = _reason(result)
    if not done.samples:
        listed = Counter(done.left_out.values()).most_common(3)
        told = ", ".join(f"{count:,} because {why}" for why, count in listed)
        raise JuratError(f"There is nothing to evaluate: no sample could be attacked ({told}).")
    return done


def _victim(model: InspectModel | None) -> Model:
    """The evaluated model itself. Raises JuratError where there is none, or it is another provider's."""
    if model is None:
        raise JuratError(
            "The attack needs the model that is evaluated.",
            hint="Name it where the task is made, too: evaluation(..., model=serve(MODEL)).",
        )
    if not isinstance(model.api, JuratModel):
        raise JuratError(
            f"The attack needs the model itself, which {model} does not give.",
            hint="Models of jurat do: --model jurat/NAME.",
        )
    return model.api.unbatched()


def _reason(result: Skipped | Failure) -> str:
    return result.reason if isinstance(result, Skipped) else f"{result.kind}: {result.reason}"
