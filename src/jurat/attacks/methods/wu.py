"""Wu et al. 2023, "Jailbreaking GPT-4V via self-adversarial attacks with system prompts" (SASP, arXiv
2311.09127).

First the victim is asked to complete a dialogue in which it tells its system prompt. The attacker's model
then writes an introduction to the request from what leaked; where the victim declines, it is shown the
introduction and the reply, and writes another one. Four enhancements can be added, which people wrote in the
paper. All wording is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from jurat.attacks.sample_attack import (
    AttackFailed,
    Helper,
    Means,
    SampleAttack,
    last_request,
    with_request,
    wordings,
)
from jurat.benchmarks.sample import Sample
from jurat.content import Reply
from jurat.metrics.answer_texts import token_f1
from jurat.named_settings import Positive, setting
from jurat.scorers.refusal_list import shipped_list

__all__ = ["Wu", "leakage"]

ENHANCEMENTS = ("prefix-injection", "refusal-suppression", "hypothetical", "emotional")


@dataclass(frozen=True)
class Wu(SampleAttack):
    """The first attempt that the victim does not decline is the adversarial sample, or the last attempt."""

    needs: ClassVar[tuple[Helper, ...]] = ("attacker", "victim")

    rounds: Positive = setting(5, "ours", "Attempts at most.")
    enhance: Literal[
        "none", "prefix-injection", "refusal-suppression", "hypothetical", "emotional", "all"
    ] = setting("none", "ours", "What each attempt has added: nothing, one of the four enhancements, or all.")
    refusals: str = setting(
        "first-sentence", "ours", "The list of refusal phrases that tells whether the victim declines."
    )

    def rewrite(self, sample: Sample, means: Means) -> Sample:
        request, phrases = last_request(sample), shipped_list(self.refusals)
        leaked = self._text(means.submitted(with_request(sample, wordings("wu")["leak"].strip())))
        facts: dict[str, str | float] = {"leaked": leaked}
        if true := _system_prompt(sample):
            facts["leakage"] = leakage(leaked, true)
        memory: list[tuple[str, str]] = []
        while True:
            introduction = means.written(_prompt(leaked, request, memory), "there is no introduction")
            attempt = self._enhanced(f"{introduction}\n{request}")
            reply = self._text(means.submitted(with_request(sample, attempt)))
            memory.append((introduction, reply))
            declined = not reply or phrases.find(reply) is not None
            if not declined or len(memory) == self.rounds:
                facts |= {"rounds": len(memory), "declined": int(declined)}
                return with_request(sample, attempt, **facts)

    def _text(self, reply: Reply) -> str:
        """The text of a reply; empty where the victim's server refused. Raises AttackFailed where it failed
        otherwise."""
        if reply.failure is not None and reply.failure.kind not in ("refused", "filtered"):
            raise AttackFailed(reply.failure)
        return reply.text.strip()

    def _enhanced(self, text: str) -> str:
        chosen = {"none": (), "all": ENHANCEMENTS}.get(self.enhance, (self.enhance,))
        for name in chosen:
            added = wordings("wu")[name]
            text = "\n".join(filter(None, (added["before"], text, added["after"])))
        return text


def leakage(leaked: str, true: str) -> float:
    """How much of a system prompt leaked, in [0, 1]: token F1 of the two texts (`metrics.answer_texts`)."""
    return token_f1(leaked, (true,))


def _system_prompt(sample: Sample) -> str:
    """The text of the sample's system turns; empty where it has none, and the true one is not known."""
    return "\n".join(turn.text for turn in sample.item.turns if turn.role == "system")


def _prompt(leaked: str, request: str, memory: list[tuple[str, str]]) -> str:
    """What the attacker's model is asked, with all attempts that were declined."""
    return "\n".join(_parts(leaked, request, memory))


def _parts(leaked: str, request: str, memory: list[tuple[str, str]]) -> Iterator[str]:
    texts = wordings("wu")
    yield texts["introduce"].format(leaked=leaked or texts["unknown"], request=request).strip()
    for introduction, reply in memory:
        yield texts["declined"].format(introduction=introduction, reply=reply).rstrip()
