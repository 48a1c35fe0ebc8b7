"""The protocol of a stage.

A stage selects statements of rules (`select`), asks the models about them (`run`), and updates their scores
(`apply`). Deciding a recorded verdict again is the same without `run`: `read` takes the stage's results from
the record, and `missing` says whether it would have asked something that the record does not hold.
A preset is a tuple of stages, in the order in which they run (`jurat.judge.pipeline`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from jurat.content import Failure
from jurat.judge.evidence import Evidence, Priors
from jurat.judge.findings import AlternativeScore, Reason, RuleFinding, StageEvidence
from jurat.judge.prompts import ReasoningForm
from jurat.judge.questions import PlannedAlternative, PlannedRule
from jurat.judge.rule_state import RuleState
from jurat.judge.statement_scoring import StatementScore
from jurat.models import Model, Vocabulary, YesNo

if TYPE_CHECKING:
    from PIL import Image

    from jurat.models.vision import Detector, Matcher

__all__ = [
    "NOTHING",
    "Missing",
    "Models",
    "Need",
    "Recorded",
    "Request",
    "Stage",
    "never_learned",
    "recorded_kind",
    "recorded_statements",
]

Need: TypeAlias = Literal["detector", "matcher", "chat"]
"""What a stage needs beside the model's `ask`."""


@dataclass
class Models:
    """The models that stages may ask."""

    model: Model
    detector: Detector | None = None
    matcher: Matcher | None = None
    reasoning: ReasoningForm = "full"
    """The form in which the model is asked to reason in words."""
    priors: Callable[[], Priors] = field(default=dict[Any, YesNo])
    """Asks for the model's answers without an image, where the preset needs them."""
    measured: bool = False
    """Whether any answer so far was a probability; answers stated in text have no prior."""

    def has(self, need: Need) -> bool:
        return need == "chat" or getattr(self, need) is not None


@dataclass(frozen=True)
class Request:
    """What a stage asks about one image."""

    image: Image.Image
    evidence: Evidence
    keys: tuple[Any, ...]
    """The distinct `Stage.keys` of the selected targets."""


class Missing:
    """`NOTHING` says that a record holds no result."""


NOTHING = Missing()
Recorded: TypeAlias = Any
"""A result of a stage, or `NOTHING`."""


class Stage:
    """One step of the judge; subclasses are frozen dataclasses, whose fields are the stage's settings.

    The methods here are for a stage that finds one result a statement: it defines `select`, `run` and
    `change`. `docs/extending.md` writes one.
    """

    name: ClassVar[str]
    """Recorded if it decides; also its name for `--without`."""
    needs: ClassVar[tuple[Need, ...]] = ()
    optional: ClassVar[bool] = False
    """Whether it is skipped if its needs are not met; otherwise the preset is refused."""
    every_image: ClassVar[bool] = False
    """Whether `run` is also given the images for which nothing was selected."""
    depends_on_thresholds: ClassVar[bool] = True
    """Whether a rule's thresholds change what it asks. If not, scores on record stay what they are under
    other thresholds."""

    def select(self, rule: RuleState) -> Iterable[PlannedAlternative]:
        """The statements of a rule that it looks at, given the rule's state after earlier stages."""
        raise NotImplementedError

    def keys(self, target: Any) -> Sequence[Hashable]:
        """The keys that it asks about for a selected target; equal keys are asked once an image."""
        return (target.key,)

    def run(self, models: Models, requests: Sequence[Request]) -> Sequence[Mapping[Any, Any]]:
        """Asks the models; returns the results of each request by key. Keys without a result are left out.

        Does not raise because of a model: a failure on one image is a result, or none.
        """
        raise NotImplementedError

    def apply(self, rule: RuleState, targets: Sequence[Any]) -> RuleState:
        """The rule after this stage; `targets` are what `select` gave for it."""
        if not targets:
            return rule
        found = rule.evidence.found[self.name]
        return rule.changed(
            {target.key for target in targets},
            lambda score: self._changed(score, found.get(score.statement.key)),
        )

    def change(self, score: StatementScore, result: Any) -> StatementScore:
        """A statement's score after this stage; `result` is None if there is none."""
        raise NotImplementedError

    def missing(self, rule: RuleState, targets: Sequence[Any]) -> bool:
        """For a recorded verdict: whether the stage would ask something that the record does not hold."""
        found = rule.evidence.found[self.name]
        return any(key not in found for target in targets for key in self.keys(target))

    def record(self, score: StatementScore, result: Any) -> dict[str, Any]:
        """The fields of `AlternativeScore` that hold a result."""
        return {"found": (StageEvidence(stage=self.name, found=self.encode(result)),)}

    def read(self, rule: PlannedRule, finding: RuleFinding, evidence: Evidence) -> None:
        """Puts the recorded results for a rule into the evidence."""
        for statement, shown in recorded_statements(rule, finding):
            result = self.read_statement(statement, shown, evidence)
            if result is not NOTHING:
                evidence.found[self.name].setdefault(statement.key, result)

    def read_statement(
        self, statement: PlannedAlternative, shown: AlternativeScore, evidence: Evidence
    ) -> Recorded:
        for each in shown.found:
            if each.stage == self.name:
                return self.decode(each.found)
        return NOTHING

    def encode(self, result: Any) -> str:
        """A result as JSON. An answer or plain values unless overridden."""
        if isinstance(result, YesNo):
            failure = None if result.failure is None else [result.failure.kind, result.failure.reason]
            return json.dumps(
                {"yes": result.yes, "no": result.no, "stated": result.stated, "failure": failure}
            )
        return json.dumps(result)

    def decode(self, text: str) -> Any:
        value = json.loads(text)
        if not isinstance(value, dict) or value.keys() != {"yes", "no", "stated", "failure"}:
            return value
        failure = None if value["failure"] is None else Failure(*value["failure"])
        return YesNo(value["yes"], value["no"], failure, value["stated"])

    def _changed(self, score: StatementScore, result: Any) -> StatementScore:
        changed = self.change(score, result)
        return changed if result is None else changed.noting(**self.record(score, result))


def recorded_statements(
    rule: PlannedRule, finding: RuleFinding
) -> Iterable[tuple[PlannedAlternative, AlternativeScore]]:
    """The statements of a rule with their recorded scores; none for a rule that was not relevant."""
    if finding.clauses:
        for clause, found in zip(rule.clauses, finding.clauses, strict=True):
            yield from zip(clause.alternatives, found.alternatives, strict=True)


def never_learned(tool: object, name: str, text: str) -> Failure | None:
    """A failure that names the words of a text that a detector or matcher never learned, if it says which
    words it knows."""
    words = tool.unknown_words(text) if isinstance(tool, Vocabulary) else []
    named = ", ".join(repr(word) for word in words)
    return Failure("out_of_domain", f"The {name} never learned {named}.") if words else None


def recorded_kind(reason: Reason | None, otherwise: Any = "error") -> Any:
    """The kind of a failure on record."""
    return reason if reason in ("refused", "filtered", "unparsed", "out_of_domain", "error") else otherwise
