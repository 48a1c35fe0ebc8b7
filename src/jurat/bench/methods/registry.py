"""All methods, as data: a name, what it is, where its function is and with which options.

A further one is a file with a function of (setup, items, **options) and a line here; a third party's is an
entry point of the group `jurat.bench_methods`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jurat.bench.pictogram.definition import ABLATED_SPLITS
from jurat.errors import JuratError
from jurat.registry import Entry, Registry

if TYPE_CHECKING:
    from jurat.bench.methods.interface import Prediction, Setup
    from jurat.bench.pictogram.items import BenchItem


@dataclass(frozen=True, kw_only=True)
class Method(Entry):
    """One method of the bench, with its options."""

    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ablate: tuple[str, ...] = ()
    """Parts of a preset that are left out."""
    after: tuple[str, ...] = ()
    """Methods whose cost it needs to know, and which therefore run before it."""
    splits: tuple[str, ...] | None = None
    """What it is put to; None for every split that is judged. Labelled images are judged by every method."""
    asks: bool = True
    """Whether it asks the MLLM. One that does not gives the same predictions for any MLLM."""
    fits: bool = False
    """Whether it is fitted on labelled images: those of dev, or all but one fold of someone's own."""

    @property
    def key(self) -> str:
        """Unique name among all rows, used in file names."""
        return "-no-".join((self.name, *self.ablate))

    @property
    def claimed(self) -> bool:
        """Whether a claim rests on its row, so that it is run for every training seed of a model."""
        return self.asks and not self.ablate

    @property
    def settings(self) -> dict[str, Any]:
        """Its options, with the settings of its preset: predictions depend on both."""
        from jurat.judge.presets import find_preset

        named = {"preset": find_preset(self.options["preset"]).settings} if "preset" in self.options else {}
        return {**self.options, **named}

    def __call__(self, setup: Setup, items: Sequence[BenchItem]) -> list[Prediction]:
        """One prediction per item."""
        from jurat.bench.methods.interface import Prediction

        run = self.load()
        predictions = self.attempt("failed", lambda: list(run(setup, items, **self.options)))
        if self.is_plug_in and [type(each) for each in predictions] != [Prediction] * len(items):
            raise self.fault("did not give one Prediction per item")
        return predictions

    def without(self, parts: Sequence[str]) -> Method:
        """The same judge with parts left out.

        Raises:
            JuratError: it is no preset of the judge, or has no such part.
        """
        from jurat.judge.presets import PARTS, find_preset

        if self.factory != _JUDGE:
            raise JuratError(f"Nothing can be left out of {self.name!r}: it is no preset of the judge.")
        find_preset(self.options["preset"]).without(parts)
        options = {**self.options, "without": tuple(parts)}
        said = ", ".join(part for part in parts if part in PARTS)
        summary = f"{self.summary}, without {said}"
        return replace(self, summary=summary, options=options, ablate=tuple(parts))


_CLUE = "arXiv:2501.00192"
_JUDGE = "jurat.bench.methods.judge_presets:judge"


def _presets() -> Iterator[Method]:
    from jurat.judge.presets import NAMED_PRESETS

    for each in NAMED_PRESETS:
        yield Method(each.name, each.summary, _JUDGE, paper=each.paper, options={"preset": each.name})


def _here(name: str, summary: str, where: str, **more: Any) -> Method:
    return Method(name, summary, f"jurat.bench.methods.{where}", **more)


_BASELINES = (
    _here("prior", "is it unsafe, without any rules", "whole:answer", options={"rules": False}),
    _here("prior-cot", "the same after a chain of thought", "whole:think", options={"rules": False}),
    _here(
        "whole", "does it break any rule of the whole constitution", "whole:answer", options={"rules": True}
    ),
    _here("whole-cot", "the same after a chain of thought", "whole:think", options={"rules": True}),
    _here(
        "direct-fitted",
        "direct, debiased and cut as fitted on dev",
        "direct_fitted:direct",
        paper="arXiv:2309.17249",
        fits=True,
    ),
    _here(
        "clue-quick-refit",
        "clue-quick, constants fitted on dev",
        "clue_refit:refit",
        options={"preset": "clue-quick"},
        paper=_CLUE,
        fits=True,
    ),
    _here(
        "clue-refit",
        "clue, constants fitted on dev",
        "clue_refit:refit",
        options={"preset": "clue"},
        paper=_CLUE,
        fits=True,
    ),
    _here(
        "vqascore", "P(Yes) to what the rule forbids", "vqascore:score", paper="arXiv:2404.01291", fits=True
    ),
    _here("clause-product", "clauses as independent events", "clause_product:product"),
    _here("caption-logic", "a description, and logic on it", "caption:describe"),
    _here(
        "clip",
        "cosine with what the rule forbids",
        "clip:match",
        asks=False,
        paper="arXiv:2103.00020",
        fits=True,
    ),
    _here(
        "clip-probe",
        "linear probes on CLIP embeddings, trained on labels of the same rules",
        "clip_probe:probe",
        asks=False,
        paper="arXiv:2202.06675",
        fits=True,
        splits=(),
    ),
    _here("detector-geometry", "boxes and arithmetic, no MLLM", "geometry:detect", asks=False, fits=True),
    _here(
        "vote",
        "direct on many views, FLOPs as jurat",
        "voting:vote",
        options={"budget": "jurat"},
        after=("jurat", "direct"),
    ),
    _here("oracle", "clauses answered by the scene's facts", "oracle:oracle", asks=False),
)

METHODS = Registry("bench_methods", "method", Method, lambda: (*_presets(), *_BASELINES))


def methods() -> dict[str, Method]:
    """Presets of the judge first, then the baselines, then those of third parties, by name."""
    return {method.name: method for method in METHODS}


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        JuratError: there is none.
    """
    from jurat.judge.removed_parts import removed_part

    if METHODS.get(name) is None and (part := removed_part(name)):
        raise JuratError(f"There is no method {name!r}: {part!r} was removed from jurat.")
    return METHODS.find(name)


def rows_for(names: Sequence[str], ablate: Sequence[str]) -> list[Method]:
    """The methods of a run, what another one needs before it.

    With no names they are all there are, and `clue` and `jurat` also without each of their parts, on
    `ABLATED_SPLITS`. With `ablate`, each preset named is also run without each of these parts that it has,
    one at a time; "regions+crop" names two that go together. Raises JuratError for unknown names, and where
    no preset has a part.
    """
    chosen = [find_method(name) for name in names] if names else list(methods().values())
    wanted: dict[str, Method] = {}
    for method in chosen:
        for earlier in method.after:
            wanted.setdefault(earlier, find_method(earlier))
        wanted.setdefault(method.key, method)
    judges = [method for method in chosen if method.factory == _JUDGE]
    if not names:
        judges = [method for method in judges if method.name in ABLATED]
    if ablate and not judges:
        raise JuratError("--ablate needs a preset of the judge to leave something out of.")
    for each in ablate:
        less = [method.without(each.split("+")) for method in judges]
        having = [one for one, method in zip(less, judges, strict=True) if _has(method, each.split("+"))]
        if not having:
            raise JuratError(f"No preset that is run has {each!r} to leave out.")
        wanted |= {one.key: one for one in having if one.key not in wanted}
    for method in [] if names or ablate else judges:
        for part in _parts_of(method):
            less = replace(method.without([part]), splits=ABLATED_SPLITS)
            wanted.setdefault(less.key, less)
    return list(wanted.values())


ABLATED = ("clue", "jurat")
"""Presets that a run of everything also takes apart, on `ABLATED_SPLITS`."""


def _parts_of(method: Method) -> list[str]:
    """The parts whose removal makes a difference to a preset."""
    from jurat.judge.presets import PARTS

    return [part for part in PARTS if _has(method, [part])]


def _has(method: Method, parts: Sequence[str]) -> bool:
    """Whether removing them changes the preset."""
    from jurat.judge.presets import find_preset

    whole = find_preset(method.options["preset"])
    return whole.without(parts).digest != whole.digest
