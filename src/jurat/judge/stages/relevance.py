"""The relevance stage: finds the rules that an image may break at all.

CLUE (arXiv 2501.00192, section 4.2) keeps a rule only if the cosine of the CLIP embeddings of the image
and of the rule's sentence is above a threshold: 0.22 with clip-vit-base-patch16. Here the text is the
rule's `description` if it has one, else its sentence; embeddings hardly reflect that a sentence
forbids what it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from jurat.content import Failure
from jurat.judge.asking import attempt
from jurat.judge.concurrency import lock_of
from jurat.judge.evidence import Evidence
from jurat.judge.findings import RuleFinding
from jurat.judge.questions import PlannedRule
from jurat.judge.rule_state import RuleState
from jurat.judge.stages.base import Models, Need, Request, Stage, never_learned

if TYPE_CHECKING:
    from jurat.constitution import Rule

__all__ = ["Relevance", "Similarity"]


@dataclass(frozen=True)
class Similarity:
    """How alike an image and a rule's description are."""

    cosine: float
    relevant_above: float
    """The matcher's threshold."""


@dataclass(frozen=True)
class Relevance(Stage):
    """Keeps rules that the image does not resemble, without asking about them."""

    name: ClassVar[str] = "relevance"
    needs: ClassVar[tuple[Need, ...]] = ("matcher",)
    depends_on_thresholds: ClassVar[bool] = False

    def select(self, rule: RuleState) -> Sequence[Any]:
        """The rule's description; none for a rule of which some clause is not about the image."""
        return (text_of(rule.planned.rule),) if rule.planned.plain else ()

    def keys(self, target: Any) -> Sequence[str]:
        return (target,)

    def run(self, models: Models, requests: Sequence[Request]) -> Sequence[Mapping[Any, Any]]:
        """Texts with unknown words fail alone; the others are matched."""
        matcher = models.matcher
        assert matcher is not None
        texts = tuple(dict.fromkeys(text for request in requests for text in request.keys))
        unknown = {text: failure for text in texts if (failure := never_learned(matcher, "matcher", text))}
        known = [text for text in texts if text not in unknown]
        if not known:
            return [unknown for _ in requests]
        with lock_of(matcher):
            rows = attempt(lambda some: matcher.match(some, known), [request.image for request in requests])
        for request in requests:
            request.evidence.cost.scans += 1
        above = matcher.relevant_above
        return [
            unknown | dict.fromkeys(known, row)
            if isinstance(row, Failure)
            else unknown | {text: Similarity(cosine, above) for text, cosine in zip(known, row, strict=True)}
            for row in rows
        ]

    def apply(self, rule: RuleState, targets: Sequence[Any]) -> RuleState:
        """Marks a rule irrelevant by its cosine. Without a result it counts as relevant."""
        result = rule.evidence.found[self.name].get(text_of(rule.planned.rule)) if targets else None
        if isinstance(result, Failure):
            return replace(rule, unscanned=result.kind)
        if result is None:
            return rule
        irrelevant = result.cosine <= result.relevant_above
        return replace(rule, relevance=result.cosine, irrelevant=irrelevant)

    def read(self, rule: PlannedRule, finding: RuleFinding, evidence: Evidence) -> None:
        found, text = evidence.found[self.name], text_of(rule.rule)
        if finding.relevance is not None:
            found[text] = Similarity(finding.relevance, evidence.relevant_above)
        elif finding.unscanned is not None:
            found[text] = Failure(finding.unscanned, "As recorded.")  # pyright: ignore[reportArgumentType]


def text_of(rule: Rule) -> str:
    """The text that an image is compared with."""
    return rule.description or rule.rule
