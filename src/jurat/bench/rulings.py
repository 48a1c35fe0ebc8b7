"""Rulings on disk: what every method said of every scene, as two Parquet files, from which every figure of
`results.json` is computed, and can be computed again by others.

`scenes.parquet` has a row for each scene of each split:

| column | meaning |
|---|---|
| `split`, `id` | which scene |
| `rule`, `pair`, `want`, `level`, `companions` | for what it was drawn (`BenchItem`) |
| `broken` | ids of the rules that it breaks |
| `soft` | how far it breaks `rule`; null but in `borderline` |

`rulings.parquet` has a row for each model, method, split and scene:

| column | meaning |
|---|---|
| `model`, `preset`, `ablate`, `split` | what judged, parts that were left out joined by "+" |
| `scene` | id of the scene |
| `said` | 1 unsafe, 0 safe, null where it was not decided |
| `score` | evidence that it is unsafe, float32; null without one |
| `rules` | 1, 0 or null for each rule, in the order that the file's metadata have; null if it tells none |
| `own` | the score of the scene's own rule, float32 |
| `reason` | why it was not decided |
| `images` ... `seconds` | what it cost (`Spending`) |

Scores are float32, and the published figures are computed from these rows and not from what was more exact
before: so nobody else's differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.bench.cost import Spending
from jurat.bench.methods.interface import Prediction
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.table import EvaluatedMethod
from jurat.errors import JuratError
from jurat.files import make_folder, written_aside
from jurat.metrics import UNSURE

if TYPE_CHECKING:
    import pyarrow

SCENES, RULINGS = "scenes.parquet", "rulings.parquet"
FORMAT = 1
_COSTS = tuple(each.name for each in fields(Spending))
_OF_SCENE = ("id", "rule", "pair", "want", "level", "companions", "soft")


def write_rulings(folder: Path, evaluated: Sequence[EvaluatedMethod]) -> None:
    """Writes both files into a folder, each whole or not at all.

    Raises:
        JuratError: they cannot be written.
    """
    rules = {each.split: _rule_names(evaluated, each.split) for each in evaluated}
    scenes = {each.split: each.items for each in evaluated}
    _write(folder / SCENES, _scene_schema(), [_scene_row(s, i) for s, items in scenes.items() for i in items])
    rows = [row for each in evaluated for row in _rows(each, rules[each.split])]
    _write(folder / RULINGS, _ruling_schema(rules), rows)


def read_rulings(folder: Path) -> list[EvaluatedMethod]:
    """What `write_rulings` wrote: the methods in their order, with scenes that have no pictures.

    Raises:
        JuratError: the files are missing or do not hold rulings.
    """
    import pyarrow.parquet as pq

    try:
        scenes = {(row["split"], row["id"]): _item(row) for row in pq.read_table(folder / SCENES).to_pylist()}
        table = pq.read_table(folder / RULINGS)
        rules = json.loads((table.schema.metadata or {})[b"jurat.rulings"])
        if rules["format"] != FORMAT:
            raise JuratError(f"{folder / RULINGS} has the format {rules['format']}, not {FORMAT}.")
        groups: dict[tuple[str, str, str, str], tuple[list[BenchItem], list[Prediction]]] = {}
        for row in table.to_pylist():
            key = row["preset"], row["ablate"], row["model"], row["split"]
            items, predictions = groups.setdefault(key, ([], []))
            items.append(scenes[row["split"], row["scene"]])
            predictions.append(_prediction(row, rules["rules"][row["split"]], items[-1].rule))
    except OSError as error:
        raise JuratError(f"The rulings in {folder} cannot be read: {error}.") from error
    except (KeyError, ValueError, TypeError) as error:
        raise JuratError(f"{folder} does not hold rulings of `jurat bench`: {error}.") from error
    return [
        EvaluatedMethod(preset, tuple(part for part in ablate.split("+") if part), model, split, tuple(items),
                        tuple(predictions))
        for (preset, ablate, model, split), (items, predictions) in groups.items()
    ]  # fmt: skip


@dataclass(frozen=True)
class Differing:
    """A figure that comes out otherwise when it is computed again."""

    where: str
    """Row and field: "naive jurat test item: aurc"."""
    published: Any
    computed: Any


def differing(published: Mapping[str, Any], computed: Mapping[str, Any]) -> tuple[int, list[Differing]]:
    """How many figures of rows and paired differences were compared, and those that differ by more than the
    digits that are written. Rows that only one of the two has differ too."""
    count, found = 0, list[Differing]()
    for part in ("rows", "paired"):
        before, after = ({_name(each): each for each in results[part]} for results in (published, computed))
        for name in before.keys() | after.keys():
            one, other = before.get(name), after.get(name)
            if one is None or other is None:
                found.append(Differing(name, one and "a row", other and "a row"))
                continue
            for key in one.keys() | other.keys():
                count += 1
                if not _same(one.get(key), other.get(key)):
                    found.append(Differing(f"{name}: {key}", one.get(key), other.get(key)))
    return count, sorted(found, key=lambda each: each.where)


def _name(entry: Mapping[str, Any]) -> str:
    if "preset" in entry:
        method = "-no-".join((entry["preset"], *entry["ablate"]))
        return f"{entry['model']} {method} {entry['split']} {entry['level']}"
    pair = f"{entry['a']} - {entry['b']}"
    return f"{entry['model']} {pair} {entry['split']} {entry.get('level', 'item')} {entry['metric']}"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-9)
    return one == other


# --- rows ----------------------------------------------------------------------------------------


def _rule_names(evaluated: Sequence[EvaluatedMethod], split: str) -> list[str]:
    """The ids of a split's rules, as the methods tell them."""
    told = (p.rules for each in evaluated if each.split == split for p in each.predictions)
    return list(dict.fromkeys(name for rules in told for name in rules))


def _scene_row(split: str, item: BenchItem) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in _OF_SCENE}
    return {"split": split, **values, "broken": sorted(item.broken)}


def _item(row: Mapping[str, Any]) -> BenchItem:
    values = {name: row[name] for name in (*_OF_SCENE, "split")}
    return BenchItem(**values, broken=frozenset(row["broken"]), facts=None, picture=Path(row["id"]))


def _rows(each: EvaluatedMethod, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for item, prediction in zip(each.items, each.predictions, strict=True):
        outcomes, scores = prediction.rules, prediction.scores
        yield {
            "model": each.model,
            "preset": each.preset,
            "ablate": "+".join(each.ablate),
            "split": each.split,
            "scene": item.id,
            "said": _said(prediction.outcome),
            "score": _none(prediction.score),
            "rules": [_said(outcomes.get(name, UNSURE)) for name in names] if outcomes else None,
            "own": _none(scores.get(item.rule, math.nan)),
            "reason": prediction.reason,
            **asdict(prediction.spending),
        }


def _prediction(row: Mapping[str, Any], names: Sequence[str], own: str) -> Prediction:
    rules = {} if row["rules"] is None else dict(zip(names, map(_outcome, row["rules"]), strict=True))
    scores = {own: _nan(row["own"])} if own and rules else {}
    spending = Spending(**{name: row[name] for name in _COSTS})
    return Prediction(_outcome(row["said"]), _nan(row["score"]), rules, scores, spending, row["reason"])


def _said(outcome: int) -> int | None:
    return None if outcome == UNSURE else outcome


def _outcome(said: int | None) -> int:
    return UNSURE if said is None else said


def _none(score: float) -> float | None:
    return None if math.isnan(score) else score


def _nan(score: float | None) -> float:
    return math.nan if score is None else score


# --- files ---------------------------------------------------------------------------------------


def _scene_schema() -> pyarrow.Schema:  # pyright: ignore[reportUnknownParameterType]
    import pyarrow as pa

    text = ("split", "id", "rule", "want", "level")
    return pa.schema(
        [(name, pa.string()) for name in text]
        + [("pair", pa.int32()), ("companions", pa.int32()), ("soft", pa.float64())]
        + [("broken", pa.list_(pa.string()))]
    )


def _ruling_schema(rules: Mapping[str, Sequence[str]]) -> pyarrow.Schema:  # pyright: ignore[reportUnknownParameterType]
    import pyarrow as pa

    text = ("model", "preset", "ablate", "split", "scene", "reason")
    costs = {"flops": pa.float64(), "seconds": pa.float32()}
    return pa.schema(
        [(name, pa.string()) for name in text]
        + [("said", pa.int8()), ("score", pa.float32()), ("own", pa.float32())]
        + [("rules", pa.list_(pa.int8()))]
        + [(name, costs.get(name, pa.int32())) for name in _COSTS],
        metadata={"jurat.rulings": json.dumps({"format": FORMAT, "rules": rules})},
    )


def _write(path: Path, schema: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    make_folder(path.parent)
    with written_aside(path) as aside:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), aside, compression="zstd")
