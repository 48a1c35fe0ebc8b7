"""Tests a constitution on its own examples.

Each rule may list images that break it and images that keep it. Each image is judged once, under the rules
that have examples, and a rule's outcome must be the one that its list states.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jurat.constitution import Constitution, Rule
from jurat.content import Item
from jurat.errors import JuratError
from jurat.judge.presets import DEFAULT
from jurat.judge.verdict import ItemOutcome, RuleOutcome, Verdict
from jurat.models import full_name
from jurat.sources import find_items

if TYPE_CHECKING:
    from jurat.models import Model, ModelSpec

Expected = Literal["broken", "kept"]

_ITEM_OUTCOME: dict[RuleOutcome, ItemOutcome] = {"broken": "unsafe", "kept": "safe", "undecided": "unsure"}


@dataclass(frozen=True)
class ExampleResult:
    """The result for one example image under the rule that names it."""

    rule: str
    """The rule's id."""
    image: str
    """The image's path, relative paths joined with the constitution's folder."""
    expected: Expected
    outcome: RuleOutcome | Literal["error"]
    """`error` if the image could not be judged or does not exist."""
    why: str
    """In a sentence or two, from the findings."""

    @property
    def passed(self) -> bool:
        """Whether the outcome is the expected one; an undecided rule fails."""
        return self.outcome == self.expected


@dataclass(frozen=True)
class ExamplesReport:
    """The results of all examples, in the order of the rules, and what judged them."""

    model: str
    """name@revision"""
    constitution: str
    """name@digest, of the whole constitution."""
    thresholds: str
    preset: str
    thresholds_from: str | None
    """name@revision of the model that the calibration's thresholds were transferred from, without a bound."""
    results: tuple[ExampleResult, ...]
    untested: Mapping[str, str] = field(default_factory=dict[str, str])
    """Rule id -> which examples it lacks: "no examples", or "no example that breaks it" or "... keeps it"."""

    @property
    def failed(self) -> tuple[ExampleResult, ...]:
        """Results that differ from what is expected, and images that could not be judged."""
        return tuple(result for result in self.results if not result.passed)


@dataclass(frozen=True)
class _Example:
    rule: str
    expected: Expected
    image: str
    item: Item | None
    """None where a folder holds no image."""


def judge_examples(
    constitution: Constitution,
    model: Model | ModelSpec | str = "bundled",
    preset: str = DEFAULT,
    *,
    without: Iterable[str] = (),
    detector: str | None = None,
    matcher: str | None = None,
    calibration: str | Path | None = None,
    batch_size: int = 16,
    allow_unknown: bool = False,
) -> ExamplesReport:
    """Judges the examples of `constitution`. Their paths are relative to the folder of its file.

    If a path is a folder or a glob, each image in it is an example. The other arguments are those of
    `jurat.judge.Judge`; a calibration must be of the whole constitution.

    Raises:
        JuratError: if no rule has examples, or the model cannot be opened.
    """
    from jurat.judge import Judge  # here, as `jurat.judge` may import this module

    examples = list(_examples(constitution))
    if not examples:
        where = constitution.source or f'the constitution "{constitution.name}"'
        hint = "Give a rule `examples: {broken: [...], kept: [...]}`, with paths of images."
        raise JuratError(f"There are no examples to test in {where}.", hint=hint)
    tested = {example.rule for example in examples}
    rules = tuple(rule for rule in constitution.rules if rule.id in tested)
    judge = Judge(
        # A calibration is valid only for the constitution that it was fitted to.
        constitution if calibration is not None else constitution.model_copy(update={"rules": rules}),
        model,
        preset,
        without=without,
        detector=detector,
        matcher=matcher,
        calibration=calibration,
        batch_size=batch_size,
        allow_unknown=allow_unknown,
    )
    items = {example.item.uri: example.item for example in examples if example.item}
    verdicts = dict(zip(items, judge.stream(items.values()), strict=True))
    return ExamplesReport(
        model=full_name(judge.model),
        constitution=f"{constitution.name}@{constitution.digest}",
        thresholds=constitution.thresholds_digest,
        preset=judge.preset.name,
        thresholds_from=None if judge.calibration is None else judge.calibration.thresholds_from,
        results=tuple(_result(example, verdicts) for example in examples),
        untested=_untested(constitution.rules, examples),
    )


def _untested(rules: Iterable[Rule], examples: Iterable[_Example]) -> dict[str, str]:
    """Which examples rules lack, by id; a rule with both kinds lacks none."""
    kinds: dict[str, set[Expected]] = {rule.id: set() for rule in rules}
    for example in examples:
        kinds[example.rule].add(example.expected)
    lacking = {"": "no examples", "broken": "no example that keeps it", "kept": "no example that breaks it"}
    return {id: lacking["".join(known)] for id, known in kinds.items() if len(known) < 2}


def _examples(constitution: Constitution) -> Iterator[_Example]:
    folder = constitution.source.parent if constitution.source else Path()
    for rule in constitution.rules:
        if rule.examples is None:
            continue
        lists: tuple[tuple[Expected, tuple[str, ...]], ...] = (
            ("broken", rule.examples.broken),
            ("kept", rule.examples.kept),
        )
        for expected, paths in lists:
            for path in (str(folder / path) for path in paths):
                found = list(find_items([path]))
                yield from (_Example(rule.id, expected, item.id, item) for item in found)
                if not found:
                    yield _Example(rule.id, expected, path, None)


def _result(example: _Example, verdicts: dict[str, Verdict]) -> ExampleResult:
    def result(outcome: RuleOutcome | Literal["error"], why: str) -> ExampleResult:
        return ExampleResult(example.rule, example.image, example.expected, outcome, why)

    if example.item is None:
        return result("error", "There is no image in this folder.")
    verdict = verdicts[example.item.uri]
    if verdict.outcome == "error":
        return result("error", verdict.error or "It could not be judged.")
    finding = next(finding for finding in verdict.rules if finding.id == example.rule)
    return result(finding.outcome, _under_rule(verdict, example.rule).explain())


def _under_rule(verdict: Verdict, rule: str) -> Verdict:
    """The verdict as it would be if `rule` were the only one: rules are judged apart."""
    finding = next(finding for finding in verdict.rules if finding.id == rule)
    return verdict.model_copy(
        update={
            "outcome": _ITEM_OUTCOME[finding.outcome],
            "broken": (rule,) if finding.outcome == "broken" else (),
            "reason": finding.reason,
            "rules": (finding,),
        }
    )
