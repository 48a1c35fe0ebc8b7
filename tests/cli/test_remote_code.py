"""Custom code of a model runs only with --trust-remote-code, which prints a warning in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jurat.cli import COMMANDS as CLI
from jurat.cli import app, load_command
from jurat.cli.remote_code import MEANING

COMMANDS = {
    "judge": ["judge", "pics", "-c", "p.yaml", "--model", "null"],
    "models": ["models"],
    "calibrate": ["calibrate", "--images", "pics", "-c", "p.yaml", "--model", "null"],
    "test": ["constitution", "test", "p.yaml", "--model", "null"],
    "draft": ["constitution", "draft", "p.yaml", "--writer", "null", "--dry-run"],
    "data build": ["data", "build", "gone.yaml", "out"],
    "eval": ["eval", "figstep", "--data", "gone", "--model", "null"],
    "impact": ["constitution", "impact", "p.yaml", "p.yaml", "--run", "gone.jsonl"],
    "attack": ["attack", "noise", "pics", "--model", "null", "--out", "out"],
    "defense fit inferaligner": [
        *("defense", "fit", "inferaligner", "--model", "null"),
        *("--prompts", "gone.csv", "--out", "vectors.safetensors"),
    ],
    "defense fit jailbreak-detector": [
        *("defense", "fit", "jailbreak-detector", "--model", "null"),
        *("--prompts", "gone.csv", "--out", "head.safetensors"),
    ],
    "defense fit protector": [
        *("defense", "fit", "protector", "--model", "null"),
        *("--replies", "gone.csv", "--out", "head.safetensors"),
    ],
    "defense fit detoxifier": [
        *("defense", "fit", "detoxifier", "--model", "null"),
        *("--rewrites", "gone.csv", "--out", "detoxifier"),
    ],
    "bench labelled": ["bench", "labelled", "--images", "pics", "--labels", "gone.csv", "-c", "p.yaml"],
    "bench pictograms": ["bench", "pictograms", "--split", "none"],
    "bench injection": ["bench", "injection", "--channel", "none"],
    "bench attacks": ["bench", "attacks", "--attack", "none"],
    "bench robustness": ["bench", "robustness", "--method", "none"],
    "bench defenses": ["bench", "defenses", "--method", "none"],
    "bench text-to-image": ["bench", "text-to-image", "--model", "diffusers/gone", "--method", "none"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_only_the_flag_prints_the_warning(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text("name: p\nrules:\n  - {id: dog, rule: No dog., clauses: [A dog is visible.]}\n")
    run = CliRunner().invoke
    assert MEANING not in run(app, COMMANDS[command]).output
    told = run(app, [*COMMANDS[command], "--trust-remote-code"])
    assert "No such option" not in told.output
    assert (told.stderr.count(MEANING), MEANING in told.stdout) == (1, False), told.output


def test_every_command_that_opens_a_model_has_the_flag() -> None:
    """A command opens one if it has --model, --writer or --explain; `constitution check` only names one."""

    found: dict[str, set[str]] = {}

    def gather(command: Any, path: str) -> None:
        for name, each in getattr(command, "commands", {}).items():
            gather(each, f"{path} {name}")
        if not hasattr(command, "commands"):
            found[path] = {name for parameter in command.params for name in parameter.opts}

    for name in CLI:
        gather(load_command(name), name)
    opening = {path for path, options in found.items() if options & {"--model", "--writer", "--explain"}}
    opening -= {"constitution check"}
    assert len(opening) == len(COMMANDS)
    assert opening == {path for path, options in found.items() if "--trust-remote-code" in options}
