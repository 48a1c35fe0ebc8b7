"""Models that evaluations and batteries open, to be evaluated or to judge, are closed: also after errors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

DOOR = '''
import json, os, signal, time
from jurat.content import Failure, Reply
from jurat.models import Model

def open_door(spec):
    return Door(spec.name)

class Door(Model):
    """Writes down when it is opened and closed; judges everything as safe."""
    revision, dtype = "1", "none"
    supported_settings = frozenset({"max_tokens", "temperature"})

    def __init__(self, name):
        self.name, self.is_open = name, True
        note("open", name)

    def chat(self, chats):
        assert self.is_open
        if "crash" in self.name:
            os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C
            time.sleep(0.5)
        if "fail" in self.name:
            return [Reply(failure=Failure("error", "It failed.")) for _ in chats]
        return [Reply(json.dumps({"verdict": "safe"}), finish="stop") for _ in chats]

    def close(self):
        if self.is_open:
            note("close", self.name)
        self.is_open = False

def note(what, name):
    with open(os.environ["DOORS"], "a") as file:
        file.write(json.dumps([what, name]) + "\\n")
'''
SET = "pictogram-typographic"


@pytest.fixture
def doors(install_backend, tmp_path, monkeypatch) -> Callable[[], list[tuple[str, str]]]:
    """The model `door`; what was opened and closed so far."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("DOORS", str(tmp_path / "doors.jsonl"))
    install_backend("door", DOOR)
    file = tmp_path / "doors.jsonl"
    return lambda: [tuple(json.loads(line)) for line in file.read_text().splitlines()]


def left_open(doors: list[tuple[str, str]]) -> Counter[str]:
    opened, closed = (Counter(name for what, name in doors if what == each) for each in ("open", "close"))
    assert opened
    return opened - closed


@pytest.mark.parametrize("model", ["door", "door/fail", "door/crash"])
def test_evaluation_closes_its_model_and_its_judge(jurat, doors, model):
    options = ("--scorer", "answer-safety", "--judge", "door/judge", "--limit", "2")
    jurat("eval", SET, "--model", model, *options)
    assert {name for _, name in doors()} == {model, "door/judge"}
    assert not left_open(doors())


def test_wrong_options_leave_no_model_open(jurat, doors):
    scorers = ("--scorer", "answer-safety", "--scorer", "answer-safety?bread=1")
    assert jurat("eval", SET, "--model", "door", "--judge", "door/judge", *scorers).exit_code == 2
    assert not left_open(doors())


def test_score_closes_its_judge(jurat, doors):
    jurat("eval", SET, "--model", "scripted/refuse", "--limit", "2", "--log-dir", "logs")
    (log,) = Path("logs").glob("*.eval")
    result = jurat("score", log, "--scorer", "answer-safety", "--judge", "door/judge")
    assert result.exit_code == 0, result.output
    assert doors() == [("open", "door/judge"), ("close", "door/judge")]


BATTERY = f"""
name: doors
sets: [{{set: {SET}, limit: 2, scorers: [answer-safety]}}]
models: [door, door/fail, door/b]
judge: door/judge
controls: []
"""


def test_battery_has_one_model_open_at_a_time_and_one_judge(jurat, doors):
    Path("b.yaml").write_text(BATTERY)
    assert jurat("eval", "b.yaml", "--out", "out").exit_code == 3
    assert not left_open(doors())
    seen = [each for each in doors() if each[1] != "door/judge"]
    assert seen == [(what, name) for name in ("door", "door/fail", "door/b") for what in ("open", "close")]
    assert doors().count(("open", "door/judge")) == 1


def test_plan_opens_one_model_at_a_time_and_closes_it(jurat, doors):
    Path("b.yaml").write_text(BATTERY)
    jurat("eval", "b.yaml", "--out", "out", "--plan")
    assert not left_open(doors())
    seen = [each for each in doors() if each[1] != "door/judge"]
    assert seen == [(what, name) for name in ("door", "door/fail", "door/b") for what in ("open", "close")]


def test_battery_that_is_stopped_or_retried_leaves_no_model_open(jurat, doors):
    Path("b.yaml").write_text(BATTERY.replace("door/fail", "door/crash"))
    for _ in range(2):
        result = jurat("eval", "b.yaml", "--out", "out")
        assert result.exit_code == 130, result.output
        assert not left_open(doors())
