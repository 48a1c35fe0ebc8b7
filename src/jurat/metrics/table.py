"""The tidy table behind every comparison: one row is what was said about one unit in one cell of a design.

| column | meaning |
|---|---|
| `unit` | id of what was judged; the same in every cell that judged it, so that cells can be paired |
| `clusters` | groups that the unit lies in, the outermost first (rule, pair; image; base question) |
| `truth` | 1 for the event, 0 without it, in between where truth is soft, null where it is unknown |
| `said` | 1 or 0 as the judgement says, null where nothing was decided |
| `score` | the evidence for the event in [0, 1], or a grade; null without one |
| `cost_NAME` | what the judgement cost (tokens, FLOPs, seconds); null where it is not known |
| any other | a factor as text: method, part left out, model, split, attack, defense, budget, seed ... |

Parquet files have exactly these columns. Why a judgement is undecided stands in the factor `state`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.errors import JuratError
from jurat.metrics.rates import UNSURE

if TYPE_CHECKING:
    from numpy.typing import NDArray

COST = "cost_"
"""Columns that begin like this are costs."""
FIXED = ("unit", "clusters", "truth", "said", "score")
"""Columns that are neither costs nor factors."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length n."""

    units: NDArray[np.str_]
    clusters: tuple[NDArray[np.str_], ...]
    """One array a level, the outermost first; empty where every unit stands for itself."""
    truth: NDArray[np.float64]
    """nan where it is unknown."""
    said: NDArray[np.int64]
    """`UNSURE` where nothing was decided."""
    score: NDArray[np.float64]
    """nan without one."""
    costs: Mapping[str, NDArray[np.float64]] = field(default_factory=dict[str, Any])
    factors: Mapping[str, NDArray[np.str_]] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if wrong := [name for name, column in self._columns() if len(column) != len(self)]:
            raise ValueError(f"columns of a table must be as long as its units: {', '.join(wrong)}")
        if not np.isin(self.said, (0, 1, UNSURE)).all():
            raise ValueError(f"said must be 0, 1 or {UNSURE}")
        with np.errstate(invalid="ignore"):
            if ((self.truth < 0) | (self.truth > 1)).any():
                raise ValueError("truth must lie in [0, 1]")
        if np.isinf(self.score).any():
            raise ValueError("scores must be finite")

    def __len__(self) -> int:
        return len(self.units)

    def _columns(self) -> Iterator[tuple[str, NDArray[Any]]]:
        yield from (("truth", self.truth), ("said", self.said), ("score", self.score))
        yield from (("clusters", level) for level in self.clusters)
        yield from self.costs.items()
        yield from self.factors.items()

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Table:
        """Rows as mappings of the columns named above; an absent or null factor is the empty text.

        Raises ValueError where a row has no unit, clusters are no list of names or differ in number, or a
        score is infinite.
        """
        found = list(rows)
        names = list(dict.fromkeys(name for row in found for name in row if name not in FIXED))
        paths = [tuple(map(str, row.get("clusters") or ())) for row in found]
        if any(isinstance(row.get("clusters"), str) for row in found):
            raise ValueError("clusters must be a list of names")
        if any(name is None for row in found for name in row.get("clusters") or ()):
            raise ValueError("a cluster has no name")
        if any(row.get("unit") is None for row in found):
            raise ValueError("a row has no unit")
        if len(set(map(len, paths))) > 1:
            raise ValueError("rows lie in different numbers of clusters")
        return cls(
            _texts([row["unit"] for row in found]),
            tuple(_texts(level) for level in zip(*paths, strict=True)),
            _numbers([row.get("truth") for row in found]),
            _decisions([row.get("said") for row in found]),
            _numbers([row.get("score") for row in found]),
            {n.removeprefix(COST): _numbers([r.get(n) for r in found]) for n in names if n.startswith(COST)},
            {n: _texts([row.get(n) for row in found]) for n in names if not n.startswith(COST)},
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """One mapping a row, as `of` takes them."""
        for i, unit in enumerate(self.units.tolist()):
            said = int(self.said[i])
            yield {
                "unit": unit,
                "clusters": [str(level[i]) for level in self.clusters],
                "truth": _none(self.truth[i]),
                "said": None if said == UNSURE else said,
                "score": _none(self.score[i]),
                **{f"{COST}{name}": _none(column[i]) for name, column in self.costs.items()},
                **{name: str(column[i]) for name, column in self.factors.items()},
            }

    def take(self, chosen: NDArray[Any]) -> Table:
        """The rows that a mask or an array of positions chooses."""
        return replace(
            self,
            units=self.units[chosen],
            clusters=tuple(level[chosen] for level in self.clusters),
            truth=self.truth[chosen],
            said=self.said[chosen],
            score=self.score[chosen],
            costs={name: column[chosen] for name, column in self.costs.items()},
            factors={name: column[chosen] for name, column in self.factors.items()},
        )

    def where(self, factors: Mapping[str, str | Collection[str]]) -> Table:
        """The rows whose factors have the given value, or one of the given values.

        Raises ValueError for a factor that the table does not have.
        """
        chosen = np.ones(len(self), bool)
        for name, wanted in factors.items():
            chosen &= np.isin(self.factor(name), [wanted] if isinstance(wanted, str) else list(wanted))
        return self.take(chosen)

    def factor(self, name: str) -> NDArray[np.str_]:
        """A factor's values. Raises ValueError where the table does not have it."""
        if name not in self.factors:
            known = ", ".join(self.factors) or "none"
            raise ValueError(f"the table has no factor {name!r}; its factors: {known}")
        return self.factors[name]

    def cells(self, *names: str) -> Iterator[tuple[dict[str, str], Table]]:
        """Groups of rows with equal values of some factors, in the order of their first rows."""
        columns = [self.factor(name).tolist() for name in names]
        places: dict[tuple[str, ...], list[int]] = {}
        for i, key in enumerate(zip(*columns, strict=True) if names else [()] * len(self)):
            places.setdefault(key, []).append(i)
        for key, rows in places.items():
            yield dict(zip(names, key, strict=True)), self.take(np.array(rows))

    def beside(self, other: Table) -> Table:
        """The rows of `other` in the order of this table's units, for a paired comparison.

        Raises ValueError where a unit stands twice in either, or only in one of them: a comparison on
        fewer units than were judged must be asked for by name.
        """
        place = {unit: i for i, unit in enumerate(other.units.tolist())}
        mine = self.units.tolist()
        if len(place) != len(other) or len(set(mine)) != len(mine):
            raise ValueError("a unit stands in more than one row of a cell")
        if set(mine) != set(place):
            lacking = len(set(mine) ^ set(place))
            raise ValueError(f"the two cells did not judge the same units: {lacking:,} are in one only")
        return other.take(np.array([place[unit] for unit in mine], int))


def join(tables: Sequence[Table]) -> Table:
    """All rows of some tables; a factor or cost that one of them lacks is empty there."""
    return Table.of(row for table in tables for row in table.rows())


def write_table(path: Path, table: Table) -> None:
    """Writes a table as Parquet, whole or not at all.

    Raises:
        JuratError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from jurat.files import make_folder, written_aside

    types = {"unit": pa.string(), "clusters": pa.list_(pa.string()), "said": pa.int8()}
    types |= {name: pa.float64() for name in ("truth", "score", *(f"{COST}{name}" for name in table.costs))}
    names = [*FIXED, *(f"{COST}{name}" for name in table.costs), *table.factors]
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    make_folder(path.parent)
    with written_aside(path) as aside:
        pq.write_table(pa.Table.from_pylist(list(table.rows()), schema=schema), aside)


def read_table(path: Path) -> Table:
    """Reads what `write_table` wrote, or any Parquet file with these columns.

    Raises:
        JuratError: the file cannot be read, or does not hold such a table.
    """
    import pyarrow.parquet as pq

    try:
        return Table.of(pq.read_table(path).to_pylist())
    except OSError as error:
        raise JuratError(f"{path} cannot be read: {error}.") from error
    except (ValueError, TypeError) as error:
        raise JuratError(f"{path} is not a table of judgements: {error}.") from error


def _texts(values: Sequence[Any]) -> NDArray[np.str_]:
    return np.array(["" if value is None else str(value) for value in values], np.str_)


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _decisions(values: Sequence[Any]) -> NDArray[np.int64]:
    if wrong := {value for value in values if value not in (None, 0, 1)}:
        raise ValueError(f"said must be 0, 1 or null, not {min(wrong, key=str)!r}")
    return np.array([UNSURE if value is None else int(value) for value in values], np.int64)


def _none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
