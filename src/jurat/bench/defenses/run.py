"""`jurat bench defenses` as a function: runs what is missing, and measures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jurat.bench.bench_run import made_by, runs_of
from jurat.bench.defenses.chat_rows import cell_counts, chat_pareto, chat_prices, chat_rows
from jurat.bench.defenses.chatting import chat_cells, check_any, names_of
from jurat.bench.defenses.figures import write_figures
from jurat.bench.defenses.judge_rows import judge_rows, pareto_of, prices
from jurat.bench.defenses.judging import JudgedPart, judge_pictures, judge_texts, merged
from jurat.bench.defenses.plan import CONTROLS, DefensesPlan
from jurat.bench.defenses.table import as_markdown
from jurat.bench.results import rounded
from jurat.bench.rulings import write_rulings
from jurat.bench.table import plain
from jurat.defenses import open_defense
from jurat.errors import JuratError, require
from jurat.files import write_whole
from jurat.judge.presets import find_preset
from jurat.models.model_spec import DEFENDED_BY

__all__ = ["INTERVALS", "run_defenses", "write_defenses"]

INTERVALS = (
    "95%, Wilson's, in clusters (rules; base questions); differences paired by scene or request, Agresti and "
    "Min's, p by Holm's correction"
)
Say = Callable[[str], None]


def run_defenses(plan: DefensesPlan, say: Say = lambda line: None) -> dict[str, Any]:
    """Runs what is not there yet, and gives what `defenses.json` holds.

    `say` receives lines of progress. A model that a defense cannot be put on, an attack that does not go
    through one, and a cell of the battery that failed are rows with a reason, and are counted.

    Raises:
        JuratError: a defense, part or preset is not known, a model is named twice or cannot be opened without
            a defense, nothing has numbers, or the run was stopped.
        MissingExtra: packages are not installed.
    """
    _check(plan)
    judged: list[JudgedPart] = []
    for part, run in (("pictures", judge_pictures), ("texts", judge_texts)):
        if part in plan.parts:
            judged += [run(plan, model, say) for model in plan.models]
    cells = list(chat_cells(plan, say)) if "chat" in plan.parts else []
    if not judged:
        check_any(cells)
    for each in judged:
        write_rulings(each.plan.out, each.progress.evaluated)
    say("working out intervals")
    rows = [row for part in judged for row in judge_rows(part)]
    chat = chat_rows(cells)
    left_out = merged([each for part in judged for each in part.left_out])
    return rounded(
        plain(
            {
                "provenance": _provenance(plan, judged),
                "judge": {
                    "rows": rows,
                    "prices": [row for part in judged for row in prices(part)],
                    "attacks": [row for part in judged for row in _attacks(part)],
                    "ways": {part.model: part.ways for part in judged if part.ways},
                    "pareto": pareto_of(rows),
                    "left_out": left_out,
                },
                "chat": {
                    "rows": chat,
                    "prices": chat_prices(cells),
                    "pareto": chat_pareto(chat),
                    **cell_counts(cells),
                },
            }
        )
    )


def write_defenses(out: Path, results: dict[str, Any]) -> list[Path]:
    """Writes `defenses.json`, `defenses.md` and, where matplotlib is installed, a figure a model."""
    write_whole(out / "defenses.json", json.dumps(results, indent=1) + "\n")
    write_whole(out / "defenses.md", as_markdown(results))
    return [out / "defenses.json", out / "defenses.md", *write_figures(out, results)]


def _check(plan: DefensesPlan) -> None:
    for name in plan.defenses:
        for each in name.split(DEFENDED_BY):
            open_defense(each)
    if len(set(plan.defenses)) < len(plan.defenses):
        raise JuratError("A defense is named twice.", hint="Name each once.")
    if not plan.models or not plan.parts:
        raise JuratError("There is nothing to compare.", hint="Name a model and a part.")
    for preset in plan.attacked:
        find_preset(preset)
    if plan.attacker is not None and plan.battery is not None:
        raise JuratError(
            "--attacker writes for the sets of pictograms, and --battery names others.",
            hint="Name the attack in the battery: attacks: [{attack: wu, attacker: NAME}].",
        )
    if "chat" in plan.parts:
        require("jurat bench defenses", "eval", "inspect_ai")
        names_of(plan)
    if "pictures" in plan.parts:
        require("jurat bench defenses", "local", "torch")


def _provenance(plan: DefensesPlan, judged: Sequence[JudgedPart]) -> dict[str, Any]:
    settings = ("radii", "steps", "draws", "per_rule", "scenes", "channels", "limit", "attacker", "seed")
    given = {name: getattr(plan, name) for name in settings}
    return {
        **made_by(plan.command),
        **given,
        "parts": list(plan.parts),
        "attacked": list(plan.attacked),
        "defenses": list(plan.defenses),
        "controls": CONTROLS,
        "models": {label: name for part in judged for label, name in part.progress.models.items()},
        **({"detector": plan.detector, "matcher": plan.matcher} if judged else {}),
        "constitutions": sorted({each for part in judged for each in part.progress.digests.values()}),
        "intervals": INTERVALS,
        "runs": runs_of(origin for part in judged for origin in part.progress.origins),
    }


def _attacks(part: JudgedPart) -> Iterator[dict[str, Any]]:
    """What attacks cost: scenes on which the attacked judge gave the wanted verdict, and passes a scene."""
    from jurat.bench.defenses.threats import Adaptive, PicturesPlan

    assert not part.costs or isinstance(part.plan, PicturesPlan)
    for key, some in part.costs.items():
        condition = part.plan.conditions[key]  # pyright: ignore[reportAttributeAccessIssue]
        means = {
            name: sum(getattr(each, name) for each in some) / max(1, len(some))
            for name in ("forwards", "backwards", "queries")
        }
        through = condition.through if isinstance(condition, Adaptive) else ""
        facts = {name: value for name, value in asdict(condition).items() if name != "through"}
        yield {
            "model": part.model, "through": through, **facts,
            "n": len(some), "reached": sum(each.reached for each in some), **means,
        }  # fmt: skip
