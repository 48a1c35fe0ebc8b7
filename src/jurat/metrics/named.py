"""The named metrics: what each is, its formula, source and evidence, and its value on rows.

`named.yaml` describes them; a third party adds one by an entry point of the group `jurat.metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any, cast

from ruamel.yaml import YAML

from jurat.errors import JuratError
from jurat.metrics.cells import Labels
from jurat.metrics.intervals import LEVEL
from jurat.metrics.metric_rows import DRAWS, LEAST_DRAWS, Column, MetricRows, Resampling, RowTable
from jurat.metrics.metric_value import MetricValue
from jurat.registry import UNVERIFIED, Entry, Evidence, Registry, suggestion

__all__ = ["METRICS", "MetricOption", "NamedMetric"]


@dataclass(frozen=True)
class MetricOption:
    """An option of a metric."""

    name: str
    type: str
    """"int", "float", "text" or "choice"."""
    default: Any
    about: str
    choices: tuple[str, ...] = ()

    def read(self, value: object) -> Any:
        """The value that a text or a value of Python stands for.

        Raises:
            JuratError: it is none.
        """
        if value is None or self.type == "text":
            return value
        if self.type == "choice" and str(value) in self.choices:
            return str(value)
        if self.type != "choice" and not isinstance(value, bool):
            try:
                number = float(cast("Any", value))
                if self.type == "float" and math.isfinite(number):
                    return number
                if self.type == "int" and number == int(number):
                    return int(number)
            except (TypeError, ValueError, OverflowError):
                pass
        what = f"one of {', '.join(self.choices)}" if self.choices else f"of type {self.type}"
        raise JuratError(f"{self.name} must be {what}, not {value!r}.")


@dataclass(frozen=True)
class NamedMetric(Entry):
    """A metric. Its factory takes `MetricRows` and the options, and returns a `MetricValue`."""

    _: KW_ONLY
    formula: str = ""
    source: str = ""
    """The paper, script or library that the definition is taken from."""
    evidence: Evidence = "ours"
    """How well it is known that this is the definition; "recalled" and "ours" are printed as unverified."""
    better: str = "depends"
    """"higher", "lower" or "depends"."""
    bounds: tuple[float, float] | None = None
    """Least and greatest value."""
    interval: str = ""
    """How the interval is computed: "rate", "bootstrap" or in words."""
    undefined: str = ""
    """When it is not available, besides when no row is left."""
    needs: tuple[Column, ...] = ()
    """The columns that it reads."""
    options: tuple[MetricOption, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_verified(self) -> bool:
        """Whether the definition was checked against its source."""
        return self.evidence not in UNVERIFIED

    @property
    def takes_labels(self) -> bool:
        """Whether a column of it holds labels or events."""
        return any(column.kind in ("label", "event") for column in self.needs)

    @property
    def described(self) -> NamedMetric:
        """The metric with all that it says of itself. A third party's is imported for it: its entry point is
        a function that returns a `NamedMetric`."""
        if not self.is_plug_in or self.needs:
            return self
        found = self.attempt("failed", self.load())
        if not isinstance(found, NamedMetric):
            raise self.fault("returned something that is no NamedMetric")
        return replace(found, provider=self.provider)

    def compute(
        self,
        rows: RowTable | Iterable[Mapping[str, Any]],
        *,
        labels: Sequence[str] = (),
        positive: str | None = None,
        columns: Mapping[str, str] | None = None,
        level: float = LEVEL,
        draws: int = DRAWS,
        seed: int = 0,
        **options: Any,
    ) -> MetricValue:
        """The value on these rows.

        Args:
            rows: mappings of column to cell, or a table read from a file (`read_rows`).
            labels: all labels that cells may hold; any other makes a row unreadable. For events the first is
                the event, unless `positive` names it. Without them events are 1, 0, true, false, yes or no.
            columns: {"success": "label"} reads `success` from the column `label`.
            level: of the interval.
            draws: of the bootstrap; 0 for no bootstrap interval.
            options: those of this metric.

        Raises:
            MissingExtra: it needs packages that are not installed.
            JuratError: a column is missing, or an option is wrong.
        """
        if self.described is not self:
            return self.described.compute(
                rows,
                labels=labels,
                positive=positive,
                columns=columns,
                level=level,
                draws=draws,
                seed=seed,
                **options,
            )
        computed = self.load(f"The metric {self.name!r}")
        table = rows if isinstance(rows, RowTable) else RowTable.of(rows)
        resampling = Resampling(level, draws, seed)
        self._check(labels, positive, resampling)
        renamed = self._columns(columns or {})
        settings = {option.name: option.default for option in self.options}
        settings |= {name: self._option(name).read(value) for name, value in options.items()}
        read = MetricRows.read(
            table.renamed(renamed), self.needs, Labels(tuple(labels), positive), resampling, self.bounds
        )
        return self.attempt("failed", lambda: computed(read, **self.arguments, **settings))

    def _option(self, name: str) -> MetricOption:
        for option in self.options:
            if option.name == name:
                return option
        known = [option.name for option in self.options]
        hint = suggestion(name, known) if known else f"{self.name} has no options."
        raise JuratError(f"{self.name} has no option {name!r}.", hint=hint)

    def _columns(self, columns: Mapping[str, str]) -> Mapping[str, str]:
        known = [*(column.name for column in self.needs), "state", "cluster", "unit"]
        for name in columns:
            if name not in known:
                raise JuratError(f"{self.name} reads no column {name!r}.", hint=suggestion(name, known))
        return columns

    def _check(self, labels: Sequence[str], positive: str | None, resampling: Resampling) -> None:
        if (labels or positive is not None) and not self.takes_labels:
            raise JuratError(f"{self.name} takes no labels.")
        if len(set(labels)) < len(labels) or (labels and len(labels) < 2):
            raise JuratError("The labels must be two or more different ones.")
        if positive is not None and positive not in labels:
            hint = (
                "--labels A,B names all labels: any other would count as a negative, an unparsed reply too."
            )
            raise JuratError(f"The positive label {positive!r} is not among the labels.", hint=hint)
        if any(not label.strip() for label in labels):
            raise JuratError("A label is empty; empty cells are missing, whatever the labels.")
        if 0 < resampling.draws < LEAST_DRAWS or resampling.draws < 0 or not 0 < resampling.level < 1:
            raise JuratError(f"draws must be 0, or {LEAST_DRAWS} or more, and the level between 0 and 1.")
        if resampling.seed < 0:
            raise JuratError("The seed must be 0 or more.")


@cache
def _described() -> tuple[NamedMetric, ...]:
    text = (files("jurat.metrics") / "named.yaml").read_text("utf-8")
    facts: Any = YAML(typ="safe", pure=True).load(text)
    columns = {name: Column(**{"name": name, **about}) for name, about in facts["columns"].items()}
    return tuple(_metric(name, dict(about), columns) for name, about in facts["metrics"].items())


def _metric(name: str, facts: dict[str, Any], columns: Mapping[str, Column]) -> NamedMetric:
    options = facts.pop("options", {})
    return NamedMetric(
        name,
        facts.pop("summary"),
        f"jurat.metrics.{facts.pop('compute')}",
        needs=tuple(columns[column] for column in facts.pop("columns")),
        options=tuple(_option(option, dict(about)) for option, about in options.items()),
        arguments=facts.pop("args", {}),
        bounds=tuple(facts.pop("range")),
        **facts,
    )


def _option(name: str, facts: dict[str, Any]) -> MetricOption:
    choices = tuple(facts.pop("choices", ()))
    return MetricOption(name, type=facts.pop("type", "choice"), choices=choices, **facts)


def _entries() -> Iterator[NamedMetric]:
    yield from _described()


METRICS: Registry[NamedMetric] = Registry(
    "metrics", "metric", NamedMetric, _entries, see=" See: jurat metrics"
)
"""The metrics by name."""
