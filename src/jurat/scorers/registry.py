"""Which scorers there are, and how one is opened by name.

A scorer of ours is a file of this folder and an entry of `SCORERS`; a judge's rubric or a list of phrases is
a YAML file, from which its entry is made. A third party's is an entry point of the group `jurat.scorers`. The
factory takes the scorer's options as keyword arguments; their annotations say how texts are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import Parameter, signature
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ConfigDict, TypeAdapter, ValidationError

from jurat.errors import JuratError
from jurat.registry import UNVERIFIED, Entry, Registry, suggestion
from jurat.scorers.judgement import Scorer
from jurat.scorers.plugin import PlugInScorer
from jurat.scorers.refusal_list import shipped_lists
from jurat.scorers.rubric import shipped_rubrics

__all__ = ["SCORERS", "ScorerEntry", "open_scorer"]

_MMSAFEAWARE, _SIUO = "arXiv:2502.11184", "arXiv:2406.15279"
_SAFEBENCH, _PRIVQA = "arXiv:2410.18927", "arXiv:2310.02224"
_NAMED = (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, kw_only=True)
class ScorerEntry(Entry):
    """A scorer."""

    labels: tuple[str, ...] = ()
    """The labels that it gives; empty where they depend on its options."""
    evidence: str = ""
    """Where its definition comes from (`jurat.registry.Evidence`); empty for a third party's."""
    preset: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Keyword arguments of the factory that the entry itself gives."""

    @property
    def definition(self) -> str:
        """Its evidence, for people: what nobody checked is called unverified."""
        return f"{self.evidence}, unverified" if self.evidence in UNVERIFIED else self.evidence

    def load(self, feature: str | None = None) -> Callable[..., Any]:
        return partial(super().load(feature), **self.preset)


def _entries() -> Iterator[ScorerEntry]:
    yield ScorerEntry(
        "target-string",
        "whether the reply is, starts with or contains a text",
        "jurat.scorers.target_string:TargetString",
        usage="target-string?mode=contains",
        labels=("match", "no_match"),
        evidence="ours",
    )
    yield ScorerEntry(
        "text",
        "whether there is a text, for metrics of texts: token F1, BLEU, VQA accuracy",
        "jurat.scorers.answered:HasText",
        labels=("text",),
        evidence="ours",
    )
    yield ScorerEntry(
        "yes-no",
        "whether the reply says yes or no",
        "jurat.scorers.choices:YesOrNo",
        labels=("yes", "no"),
        evidence="ours",
        paper=_MMSAFEAWARE,
    )
    yield ScorerEntry(
        "abstention",
        "whether the reply has the words with which it was told to abstain",
        "jurat.scorers.abstention:Abstention",
        labels=("abstained", "answered"),
        evidence="recalled",
        paper=_PRIVQA,
    )
    yield ScorerEntry(
        "options",
        "whether the reply picks the right letter",
        "jurat.scorers.choices:Options",
        labels=("correct", "incorrect"),
        evidence="ours",
        paper=_SIUO,
    )
    yield ScorerEntry(
        "labels",
        "which of some labels the reply names",
        "jurat.scorers.choices:Labels",
        usage="labels?labels=unsafe,safe&positive=unsafe",
        evidence="ours",
    )
    for phrases in shipped_lists():
        yield ScorerEntry(
            f"refusal-phrases-{phrases.name}",
            phrases.summary,
            "jurat.scorers.refusal_list:open_shipped_list",
            paper=phrases.paper,
            labels=("refusal", "no_refusal"),
            evidence=phrases.evidence,
            preset={"list": phrases.name},
        )
    yield ScorerEntry(
        "refusal-phrases",
        "phrases of refusals from a YAML file of yours",
        "jurat.scorers.refusal_list:open_refusal_list",
        usage="refusal-phrases?path=FILE",
        labels=("refusal", "no_refusal"),
        evidence="ours",
    )
    for rubric in shipped_rubrics():
        if rubric.name == "jury":
            continue  # one of several jurors, and no scorer by itself
        yield ScorerEntry(
            rubric.name,
            rubric.summary,
            "jurat.scorers.llm_judge:open_judge",
            usage=f"{rubric.name}?model=MODEL",
            paper=rubric.paper,
            labels=rubric.labels,
            evidence=rubric.evidence,
            preset={"rubric": rubric.name},
        )
    yield ScorerEntry(
        "rubric",
        "a judge under a rubric of yours, a YAML file",
        "jurat.scorers.llm_judge:open_own_judge",
        usage="rubric?path=FILE&model=MODEL",
        evidence="ours",
    )
    yield ScorerEntry(
        "jury",
        "jurors with personas judge, see each other's verdicts, and judge again",
        "jurat.scorers.jury:Jury",
        usage="jury?model=MODEL",
        paper=_SAFEBENCH,
        labels=("unsafe", "safe"),
        evidence="ours",
    )
    yield ScorerEntry(
        "constitution",
        "the constitution judge, with clauses about the response",
        "jurat.scorers.constitution_judge:ConstitutionJudge",
        usage="constitution?constitution=FILE&model=MODEL",
        labels=("unsafe", "safe"),
        evidence="ours",
    )
    yield ScorerEntry(
        "toxicity",
        "the probability of toxicity by a classifier in a folder",
        "jurat.scorers.toxicity:Toxicity",
        usage="toxicity?folder=FOLDER",
        labels=("toxic", "not_toxic"),
        evidence="recalled",
        extra="local",
    )
    yield ScorerEntry(
        "human",
        "labels that people gave, from a CSV, JSONL, JSON or Parquet file",
        "jurat.scorers.human_labels:HumanLabels",
        usage="human?file=FILE",
        evidence="ours",
    )


SCORERS = Registry("scorers", "scorer", ScorerEntry, _entries, see=" See: jurat list scorers")


def open_scorer(name: str, **options: Any) -> Scorer:
    """Opens the scorer that `name` names, with its options as keyword arguments or behind a question mark:
    `open_scorer("target-string?mode=contains")`.

    Raises:
        JuratError: there is no such scorer, or it cannot take these options, or one is given twice.
        MissingExtra: it needs packages that are not installed.
    """
    name, _, query = name.partition("?")
    entry = SCORERS.find(name)
    pairs = [*parse_qsl(query, keep_blank_values=True), *options.items()]
    given = dict(pairs)
    if len(given) < len(pairs):
        twice = next(key for key in given if sum(key == one for one, _ in pairs) > 1)
        raise JuratError(f"The option {twice!r} of the scorer {name!r} is given twice.")
    factory = entry.load(f"The scorer {name!r}")
    read = entry.attempt("could not be opened", lambda: _options(name, factory, given, entry.preset))
    scorer: Scorer = entry.attempt("could not be opened", lambda: factory(**read))
    entry.check(scorer, "scorer", strings=("name", "positive"), methods=("score",))
    return PlugInScorer(entry, scorer) if entry.is_plug_in else scorer


def _options(
    name: str, factory: Callable[..., Any], given: Mapping[str, Any], preset: Mapping[str, Any]
) -> dict[str, Any]:
    """The options as the types that the factory's annotations name: those of a query are texts."""
    known = {
        key: one
        for key, one in signature(factory, eval_str=True).parameters.items()
        if one.kind in _NAMED and key not in preset
    }
    unknown = [key for key in given if key not in known]
    if unknown:
        hint = suggestion(unknown[0], known) if known else "It has no options."
        raise JuratError(f"The scorer {name!r} has no option {unknown[0]!r}.", hint=hint)
    missing = [key for key, one in known.items() if one.default is Parameter.empty and key not in given]
    if missing:
        raise JuratError(
            f"The scorer {name!r} needs {' and '.join(missing)}.", hint=f"{name}?{missing[0]}=..."
        )
    return {key: _read(name, key, known[key].annotation, value) for key, value in given.items()}


def _read(name: str, key: str, annotation: Any, value: Any) -> Any:
    if annotation is Parameter.empty:
        return value
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"]
        raise JuratError(f"The option {key} of the scorer {name!r} cannot be {value!r}: {why}.") from error
