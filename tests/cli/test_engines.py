"""`jurat judge --engine ray`: refused options, and runs on a local cluster that the tests start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from PIL import Image

from jurat.cli.judging_pass import JudgingPass
from jurat.cli.source_options import ItemSelection
from jurat.cli.summary import ItemListing
from jurat.constitution import load_constitution
from jurat.judge import Judge
from jurat.judge.verdict_runs import open_verdict_run
from jurat.models import ModelUnavailable
from jurat.report.verdicts.tally import Tally
from jurat.runs import read_rows
from jurat.sources import PassedOver, SourceOptions, find_items

ROOT = Path(__file__).parents[2]
POLICY = ["--constitution", "colours.yaml", "--preset", "quick"]
RAY = ["--engine", "ray"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pics", *RAY], "--engine ray needs a folder for its output.\n  Name its folder: --out DIR."),
        (["pics", *RAY, "--out", "v.jsonl"], "--engine ray needs a folder for its output."),
        (["-", *RAY, "--out", "run"], "--engine ray cannot read a list on standard input"),
        (["pics", *RAY, "--out", "run", "--reuse-near", "4"], "--reuse-near remembers what this process"),
        (["pics", *RAY, "--out", "run", "--dry-run"], "--dry-run sends nothing"),
        (["pics", *RAY, "--out", "run", "--device", "cuda:1"], "Say --device cuda."),
        (["pics", "--engine", "spark"], "There is no engine 'spark'.\n  There are local and ray."),
        (["pics", "--replicas", "2"], "--replicas is for workers of a Ray cluster.\n  Add --engine ray."),
        (["pics", "--gpus", "0.5"], "--gpus is for workers of a Ray cluster."),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else None,
)
def test_unsupported_options_are_refused_before_the_cluster_starts(pics, jurat, arguments, message):
    result = jurat("judge", *arguments, *POLICY, "--model", "null")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("run").exists()
    assert "ray" not in sys.modules or not cluster()


def test_missing_ray_names_the_install_command(pics, jurat, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = jurat("judge", "pics", *POLICY, "--model", "null", *RAY, "--out", "run")
    assert result.exit_code == 2
    assert result.stderr == (
        "jurat: --engine ray needs packages that are not installed.\n"
        '  Install them: pip install "jurat[ray]"\n'
    )


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", r"no server answers at \S+:1 \(Connection refused\)\."),
        ("ray://head:10001", r"ray://head:10001 is that of a Ray client\."),
        ("head", "Invalid address format: head"),
    ],
)
def test_unreachable_cluster_is_one_error_line(pics, jurat, monkeypatch, address, message):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", address)
    result = jurat("judge", "pics", *POLICY, "--model", "null", *RAY, "--out", "run")
    assert result.exit_code == 2
    assert re.search(f"There is no Ray cluster to work on: {message}", result.stderr), result.stderr
    assert "RAY_ADDRESS=local starts one" in result.stderr


class StoppingWorkers:
    """An engine whose model is unavailable once all items were listed."""

    def __init__(self):
        self.passed_over = PassedOver()

    def rows(self, job, recorded, key):
        for _ in find_items(job.paths, options=job.options, passed_over=self.passed_over):
            pass
        raise ModelUnavailable("The server is gone.")
        yield ()


def test_files_passed_over_are_counted_though_the_model_is_unavailable(pics):
    (pics / "notes.txt").write_text("not an image")
    judge = Judge(load_constitution("colours.yaml"), "null", "quick")
    source = ItemSelection(["pics"], SourceOptions())
    run = open_verdict_run("run", judge)
    judging = JudgingPass(source, Path("run"), True, Tally.of(()), ItemListing(0), run, StoppingWorkers())
    with pytest.raises(ModelUnavailable):
        judging.go(judge, iter(()), run)
    assert source.passed_over.files == {".txt": 1}


def test_ray_is_imported_only_in_two_files():
    imports = re.compile(r"^\s*(?:import|from) ray\b", re.MULTILINE)
    files = [path for path in (ROOT / "src").rglob("*.py") if imports.search(path.read_text())]
    assert sorted(path.name for path in files) == ["ray_cluster.py", "ray_engine.py"]


def cluster() -> bool:
    import ray

    return ray.is_initialized()


@pytest.fixture
def ray_here(monkeypatch):
    """Lets the command start a local cluster, which ends with the test."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    yield
    assert not cluster()


def judges() -> list[int]:
    """The processes of the judges of this process's cluster."""
    from ray._private import state

    alive = [actor for actor in state.actors().values() if actor["State"] == "ALIVE"]
    return [actor["Pid"] for actor in alive if "_RayWorker" in actor["ActorClassName"]]


def recorded(run: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in run.glob("parts/*.jsonl"))


def wait_for(condition: Callable[[], object], seconds: float = 300) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def keys(run: str) -> list[tuple[str, int]]:
    return sorted((row["id"], row["occurrence"]) for row in read_rows(run))


def said(run: str) -> dict[tuple[str, int], dict]:
    """The rows of a run without the fields that differ between runs."""
    changing = ("decision", "time", "seconds", "model")
    return {
        (row["id"], row["occurrence"]): {k: v for k, v in row.items() if k not in changing}
        for row in read_rows(run)
    }


@pytest.mark.slow
@pytest.mark.usefixtures("alone_with_ray")
def test_killed_worker_leaves_every_item_recorded_once(pics, jurat, ray_here):
    for number in range(120):
        Image.new("RGB", (9, 9), (number, 255 - number, 60)).save(pics / f"{number:03}.png")
    killed: list[int] = []
    facts: list[object] = []

    def kill() -> None:
        if wait_for(lambda: recorded(Path("run")) >= 10):
            from ray._common.usage import usage_lib
            from ray._private.worker import global_worker

            facts.append(global_worker.node.address_info["webui_url"])
            facts.append(usage_lib.usage_stats_enabled())
            first, second = judges()
            assert first != second
            os.kill(first, signal.SIGKILL)
            killed.append(recorded(Path("run")))

    killer = Thread(target=kill)
    killer.start()
    paths = ["pics", "pics/green.png"]
    settings = [*POLICY, "--batch-size", "4", "--out", "run", *RAY, "--replicas", "2"]
    result = jurat("judge", *paths, "--model", "null?pace=0.1", *settings)
    killer.join()
    assert result.exit_code == 0, result.output
    assert killed and killed[0] < 100
    assert not any(facts), "a dashboard, or reports of use"
    assert "128 rows are new in run" in result.stdout
    assert len(keys("run")) == len(set(keys("run"))) == 128
    assert sorted(path.name for path in Path("run").rglob("*")) == [
        ".lock",
        "_run.json",
        "part-000000.parquet",
        "parts",
    ]
    assert jurat("judge", *paths, "--model", "null?pace=0", *POLICY, "--out", "whole").exit_code == 0
    assert said("run") == said("whole")

    again = jurat("judge", *paths, "--model", "null?pace=0.1", *settings)
    assert again.stdout.strip() == "Nothing was left to judge: all of 128 rows are in run."
    local = jurat("judge", *paths, "--model", "null?pace=0.1", *POLICY, "--batch-size", "4", "--out", "run")
    assert local.stdout.strip() == again.stdout.strip()


FATAL_MODEL = '''
import os
from jurat.models import Answer, Model, YesNo
from jurat.content import Reply

def open_fatal(spec):
    return Fatal()

class Fatal(Model):
    """Takes its process down when it sees red."""

    name, revision, dtype = "fatal", "1", "none"

    def ask(self, inquiries):
        if any(image.getpixel((0, 0)) == (255, 0, 0) for i in inquiries for image in i.prefix.images):
            os._exit(1)
        return [Answer(tuple(YesNo(0.9, 0.1) for _ in i.questions)) for i in inquiries]

    def chat(self, chats):
        return [Reply() for _ in chats]
'''


@pytest.mark.slow
@pytest.mark.usefixtures("alone_with_ray")
def test_item_that_kills_its_worker_is_the_only_error(pics, install_backend):
    pytest.importorskip("ray")
    # Ray asks more of what it gives GPUs to; it takes our word that there is one. In a process of its own, as
    # the command is: of a second cluster that one process starts, Ray at times never uses the workers.
    env = {
        **os.environ,
        "PYTHONPATH": str(install_backend("fatal", FATAL_MODEL)),
        "RAY_ADDRESS": "local",
        "RAY_OVERRIDE_RESOURCES": '{"GPU": 1}',
    }
    Image.new("RGB", (9, 9), (255, 0, 0)).save(pics / "fatal.png")
    for number in range(8):
        Image.new("RGB", (9, 9), (9, number, 0)).save(pics / f"{number}.png")
    settings = ["--model", "fatal", *POLICY, "--out", "run", "--batch-size", "4", *RAY, "--gpus", "1"]
    command = [sys.executable, "-m", "jurat", "judge", "pics", *settings]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["id"]: row for row in read_rows("run")}
    assert len(rows) == len(list(read_rows("run"))) == 16
    errors = {id: row["error"] for id, row in rows.items() if row["outcome"] == "error"}
    assert set(errors) == {"pics/fatal.png", "pics/broken.png"}
    assert errors["pics/fatal.png"] == "The worker that had it ended, 3 times."


@pytest.mark.slow
@pytest.mark.usefixtures("alone_with_ray")
def test_ctrl_c_keeps_results_and_the_same_command_resumes(pics, tmp_path):
    pytest.importorskip("ray")
    for number in range(150):
        Image.new("RGB", (9, 9), (number, 3, 60)).save(pics / f"{number:03}.png")
    command = [sys.executable, "-m", "jurat", "judge", "pics", *POLICY, *RAY, "--out", "run"]
    command += ["--batch-size", "2", "--model", "null?pace=0.1"]
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    env = {**os.environ, "RAY_ADDRESS": "local"}
    going = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, **heed)
    assert wait_for(lambda: recorded(Path("run")) >= 10 or going.poll() is not None)
    going.send_signal(signal.SIGINT)
    told = going.communicate(timeout=120)[1]
    assert going.returncode == 130, told
    assert "finishing the current batch" in told
    (count,) = re.findall(r"interrupted after (\d+) items; \d+ rows are new in run", told)
    assert 10 <= int(count) == len(keys("run")) < 157
    assert "Traceback" not in told
    local = [arg for arg in command if arg not in RAY]
    local[-1] = "null?pace=0.1"
    assert subprocess.run([*local, "--quiet"], check=False).returncode == 0
    assert len(keys("run")) == len(set(keys("run"))) == 157
