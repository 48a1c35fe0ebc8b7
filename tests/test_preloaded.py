"""A command in a fork of the preloaded process behaves like one that a shell starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .preloaded import Preloaded

pytestmark = pytest.mark.slow
STARTED = Path(sys.executable)
OFFLINE = "import huggingface_hub.constants as c; print(c.HF_HUB_OFFLINE)"


def ran(program: Path, code: str, folder: Path, **env: str) -> tuple[int, str, str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **env}
    done = subprocess.run(
        [program, "-c", code], cwd=folder, env=environment, input="in", capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr.strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    ("code", "env"),
    [
        ("import os; print(os.getcwd(), os.environ['A'])", {"A": "b"}),
        ("import sys; print(sys.stdin.read()); sys.exit(7)", {}),
        ("import sys; sys.exit('told')", {}),
        ("import other; print(other.VALUE)", {}),
        ("1 / 0", {}),
        (OFFLINE, {}),
        (OFFLINE, {"HF_HUB_OFFLINE": "0"}),
        ("import jurat; print(jurat.report.verdicts.page)", {}),
        ("import jurat.report; print(jurat.report.write_report.__name__)", {}),
        ("import torch; print(torch.get_num_threads())", {"OMP_NUM_THREADS": "2"}),
    ],
)
def test_fork_equals_a_start(code: str, env: dict[str, str], preloaded: Preloaded, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("VALUE = 3")
    forked = ran(preloaded.bin / "python", code, tmp_path, **env)
    assert forked == ran(STARTED, code, tmp_path, **env)


def test_signal_of_a_fork_is_the_exit_code_of_a_shell(preloaded: Preloaded, tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert ran(preloaded.bin / "python", code, tmp_path)[0] == 137
