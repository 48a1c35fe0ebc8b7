"""Weights of finished stages, with the record of how they were made.

A stage that is done is a folder: `weights.safetensors` (bfloat16, one name space a module: `model.`, `heads.`
and so on) and `lineage.json`, the records of all stages that led to it, its own last. Later stages begin
from these files, model cards are written from the records, and a test holds what the documents say against
them.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jurat.files import make_folder, written_aside
from training.loop import Trained, precision
from training.mllm.mixes import OWN, mixes, wordings
from training.stages import Task, pools

WEIGHTS, LINEAGE = "weights.safetensors", "lineage.json"


def save_stage(task: Task, done: Trained, folder: Path) -> Path:
    """Writes a finished stage to `folder`, and returns that."""
    from safetensors.torch import save_file

    make_folder(folder)
    tensors = {
        f"{part}.{name}": value.detach().to(torch.bfloat16).contiguous().clone()
        for part, module in done.modules.items()
        for name, value in _own(module).items()
        if not f"{part}.{name}".startswith(done.left_out)
    }
    with written_aside(folder / WEIGHTS) as aside:
        save_file(tensors, aside)
    begins = [begin for begin in (task.parent(), task.eyes()) if begin is not None]
    earlier = {record["stage"]: record for begin in begins for record in read_lineage(begin)}
    records = [*earlier.values(), record_of(task, done)]
    record = json.dumps({"stages": records}, indent=1, sort_keys=True)
    with written_aside(folder / LINEAGE) as aside:
        aside.write_text(record + "\n", encoding="utf-8")
    return folder


def record_of(task: Task, done: Trained) -> dict[str, Any]:
    """Record of how a stage was trained, as it is stored."""
    stage = task.stage
    record: dict[str, Any] = {
        "stage": stage.name,
        "lesson": stage.lesson,
        "parent": stage.parent,
        "eyes": stage.eyes,
        "schedule": {name: value for name, value in asdict(stage.schedule).items() if value is not None},
        "steps": done.steps,
        "settings": dict(stage.settings),
        "shown": dict(sorted(done.counts.items())),
        "measured": done.measured,
        "minutes": round(done.seconds / 60, 1),
        "machine": (
            f"{os.cpu_count()} CPU cores, {platform.machine()}, torch {torch.__version__}, "
            f"{str(precision()).removeprefix('torch.')}"
        ),
    }
    if (mix := stage.settings.get("mix")) is not None:
        record["mix"] = mix_record(mix)
    if stage.pool is not None:
        tags: dict[str, int] = {}
        for folder in task.pool()[0]:
            for tag, count in json.loads((folder / "tags.json").read_text("utf-8")).items():
                tags[tag] = tags.get(tag, 0) + count
        record["pool"] = {
            "name": stage.pool,
            **asdict(pools()[stage.pool]),
            "scenes": dict(sorted(tags.items())),
        }
    return record


def declared(task: Task) -> str:
    """Digest of all that determines a stage's training: its own declarations and the records of its parents.

    A checkpoint of a stage that declared something else must not be resumed: the record of the finished stage
    would be false.
    """
    from training.organisms.mixes import STAGES

    settings = task.stage.settings
    conversations = STAGES.get(settings.get("taught", task.stage.name))
    begins = [begin for begin in (task.parent(), task.eyes()) if begin is not None]
    everything = {
        "stage": asdict(task.stage),
        "mix": mix_record(settings["mix"]) if "mix" in settings else None,
        "conversations": conversations
        and [conversations.model_dump(), *(path.read_text("utf-8") for path in _wordings())],
        "pool": asdict(pools()[task.stage.pool]) if task.stage.pool is not None else None,
        "parents": [read_lineage(begin) for begin in begins],
    }
    return sha256(json.dumps(everything, sort_keys=True, default=str).encode()).hexdigest()


def _wordings() -> list[Path]:
    """Files of what is said in conversations."""
    from jurat.pictograms import places
    from training.organisms.conversation import WORDINGS

    return [path for folder in (WORDINGS, places.WORDINGS) for path in sorted(folder.glob("*.yaml"))]


def mix_record(name: str) -> dict[str, Any]:
    """A mix of joint training, with the full text of the wordings that it names."""
    mix = mixes()[name]
    spelled = {
        kind: {
            each: {"share": share, "instruction": known[each].instruction, "question": known[each].question}
            for each, share in getattr(mix, kind).items()
        }
        for kind in OWN
        for known in [wordings(kind)]
    }
    return {"name": name, **asdict(mix), **spelled}


def made_of(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Title -> text on how a model was made, one row for each stage, for its card."""
    made: dict[str, str] = {}
    for record in records:
        schedule = ", ".join(f"{name} {value:g}" for name, value in record["schedule"].items())
        settings = ", ".join(f"{name} {value}" for name, value in record["settings"].items())
        begun = f"from `{record['parent']}`" if record["parent"] else "from nothing"
        begun += f", seeing as `{record['eyes']}`" if record["eyes"] else ""
        told = f"{schedule}; {settings}" if settings else schedule
        made[f"stage `{record['stage']}`"] = f"{begun}, {record['minutes']:.0f} minutes ({told})"
    made["machine"] = records[-1]["machine"]
    return made


def read_lineage(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder, the first stage first."""
    return json.loads((folder / LINEAGE).read_text("utf-8"))["stages"]


def load_parts(folder: Path) -> dict[str, dict[str, Tensor]]:
    """The weights of a finished stage in float32: module -> name -> tensor."""
    from safetensors.torch import load_file

    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in load_file(folder / WEIGHTS).items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value.float()
    return parts


def _own(module: nn.Module) -> Mapping[str, Tensor]:
    """State of a module, with tied weights once, under the first of their names."""
    kept: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in module.state_dict().items():
        if value.data_ptr() not in seen or not value.numel():
            kept[name] = value
            seen.add(value.data_ptr())
    return kept
