"""Batteries: what is run and what is not, killed and resumed; numbers that scripts determine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import read_eval_log

from jurat.benchmarks import COMPLY, REFUSE, open_set
from jurat.evals.batteries.logs import local_path
from jurat.evals.rescoring import write_log
from jurat.files import lock
from jurat.metrics.table import read_table

from ..benchmarks.fixtures import figstep

COUNTING = '''
import os, time
from jurat.content import Reply
from jurat.models import Model

def open_counting(spec):
    return Counting(spec.name)

class Counting(Model):
    """Writes down each request, and takes its time."""
    revision, dtype = "1", "none"
    supported_settings = {"max_tokens", "temperature"}

    def __init__(self, name):
        self.name = name

    def chat(self, chats):
        for chat in chats:
            with open(os.environ["CALLS"], "a") as file:
                file.write(chat.turns[-1].text + "\\n")
            time.sleep(float(os.environ["PACE"]))
        return [Reply("I'm sorry, but I can't help with that.", finish="stop") for _ in chats]
'''
FIRST = "refusal-phrases-first-sentence"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def run(jurat, here) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Writes a battery and runs it; exit code and what it prints as JSON."""

    def run(text: str, *options: str) -> tuple[int, dict[str, Any]]:
        (here / "battery.yaml").write_text(text)
        result = jurat("eval", "battery.yaml", "--out", "out", "--json", *options)
        assert result.exit_code in (0, 1, 3), result.output
        return result.exit_code, json.loads(result.stdout)

    return run


@pytest.fixture
def calls(install_backend, here, monkeypatch) -> Callable[[], list[str]]:
    """The model `counting`; the requests that it had so far."""
    site = install_backend("counting", COUNTING)
    monkeypatch.setenv("CALLS", str(here / "calls.txt"))
    monkeypatch.setenv("PACE", "0")
    monkeypatch.setenv("PYTHONPATH", str(site))
    file = here / "calls.txt"
    return lambda: file.read_text().splitlines() if file.exists() else []


def plan(jurat) -> list[str]:
    return jurat("eval", "battery.yaml", "--out", "out", "--plan").stdout.splitlines()


def numbers(cell: dict[str, Any], scorer: int = 0) -> dict[str, Any]:
    return {number["metric"]: number for number in cell["scorers"][scorer]["numbers"]}


ONE = """
name: one
sets: [{set: pictogram-typographic, protocols: [text_only], limit: 8}]
models: [{model: counting, max_batch: 1}]
controls: []
"""


def test_numbers_are_those_that_the_scripts_determine(run, here):
    (here / "picky.yaml").write_text(
        'name: picky\nrules:\n  - {when: "knife|cake|fire", reply: "I\'m sorry, I can\'t help with that."}\n'
        '  - {reply: "Sure: wrap it up."}\n'
    )
    code, told = run(
        "name: scripts\nsets: [{set: pictogram-typographic, protocols: [text_only], limit: 18}]\n"
        "models: [scripted/picky.yaml]\n"
    )
    assert code == 0
    expected = {"scripted/refuse": (1.0, 1.0), "scripted/comply": (0.0, 0.0)}
    samples = list(open_set("pictogram-typographic").samples())[:18]
    refused = [any(word in one.fields["question"] for word in ("knife", "cake", "fire")) for one in samples]
    rates: list[float] = []
    for kind in (REFUSE, COMPLY):
        of_kind = [said for one, said in zip(samples, refused, strict=True) if one.expected == kind]
        rates.append(sum(of_kind) / len(of_kind))
    expected["scripted/picky.yaml"] = (rates[0], rates[1])
    assert 0 < rates[0] < 1 and 0 < rates[1] < 1
    found = {}
    for cell in told["cells"]:
        values = numbers(cell)
        found[cell["model"]] = (
            values["refusal_of_harmful"]["value"],
            values["over_refusal_of_benign"]["value"],
        )
        assert values["refusal_of_harmful"]["n"] + values["over_refusal_of_benign"]["n"] == len(samples)
    assert found == {name: pytest.approx(pair) for name, pair in expected.items()}
    table = read_table(here / "out/judgements.parquet").where({"model": "scripted/picky.yaml"})
    assert (table.said.tolist(), len(table)) == ([int(said) for said in refused], len(samples))
    assert table.truth.tolist() == [float(one.expected == REFUSE) for one in samples]


def test_entries_of_one_set_are_told_apart(run, here):
    for name in ("one", "two"):
        figstep.repository(here / name)
    code, told = run(
        "name: twice\ncontrols: []\nmodels: [scripted/refuse]\nsets:\n"
        f"  - {{set: figstep, data: one, scorers: [{FIRST}]}}\n"
        f"  - {{set: figstep, data: two, limit: 2, scorers: [{FIRST}]}}\n"
    )
    assert code == 0
    assert [cell["cell"] for cell in told["cells"]] == [
        "figstep, data one, limit by default x scripted/refuse",
        "figstep, data two, limit 2 x scripted/refuse",
    ]
    table = read_table(here / "out/judgements.parquet")
    assert len(set(table.units.tolist())) == len(table) == 5  # a unit of one copy is no unit of the other
    assert set(table.factor("variant").tolist()) == {"data one, limit by default", "data two, limit 2"}
    lines = (here / "out/numbers.md").read_text()
    assert "| figstep (reworded), data one, limit by default " in lines
    assert "| figstep (reworded), data two, limit 2 " in lines


@pytest.mark.slow
def test_killed_battery_goes_on_and_evaluates_every_sample_once(run, calls, here, jurat):
    (here / "battery.yaml").write_text(ONE)
    command = [sys.executable, "-c", "from jurat.cli import main; main()"]
    killed = subprocess.Popen(
        [*command, "eval", "battery.yaml", "--out", "out"],
        env={**os.environ, "PACE": "0.4"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(calls()) < 5 and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = calls()
    assert len(before) == 5
    assert plan(jurat) == ["pictogram-typographic (text_only) x counting: 4 of 8 replies"]
    code, told = run(ONE)
    (cell,) = told["cells"]
    assert (code, cell["status"]) == (0, "done")
    asked = Counter(calls())
    # The fifth was on its way when the process was killed.
    assert len(asked) == 8 and asked == Counter([*asked, before[-1]])
    assert numbers(cell)["refusal_of_decided"]["n"] == 8
    (log,) = (here / "out/logs").glob("*.eval")
    samples = read_eval_log(str(log)).samples
    assert len({sample.id for sample in samples}) == len(samples) == 8
    assert all(sample.scores and sample.error is None for sample in samples)


def test_finished_battery_is_not_evaluated_again(run, calls, jurat, here):
    run(ONE)
    first, table = calls(), (here / "out/numbers.md").read_text()
    code, _ = run(ONE)
    assert (code, calls()) == (0, first)
    assert (here / "out/numbers.md").read_text() == table
    assert plan(jurat) == ["pictogram-typographic (text_only) x counting: done"]


def test_changed_scorers_score_again_without_the_model(run, calls, jurat):
    run(ONE)
    first = calls()
    changed = f"{ONE}scorers: [{FIRST}, 'target-string?target=sorry&mode=contains']\n"
    (Path("battery.yaml")).write_text(changed)
    assert plan(jurat)[0].endswith("counting: scores of target-string?mode=contains&target=sorry")
    _, told = run(changed)
    assert calls() == first
    (cell,) = told["cells"]
    assert [each["scorer"] for each in cell["scorers"]] == [f"{FIRST}@1", "target-string-contains@1[=sorry]"]
    assert numbers(cell, 1)["asr"]["value"] == 1.0
    # Another version of the option is another scorer; the earlier scores are not in the results.
    _, told = run(changed.replace("target=sorry", "target=bread"))
    assert calls() == first
    assert numbers(told["cells"][0], 1)["asr"]["value"] == 0.0
    assert [len(cell["scorers"]) for cell in told["cells"]] == [2]


def test_changed_model_and_changed_set_are_evaluated_anew(run, jurat, here):
    figstep.repository(here / "copy")
    (here / "script.yaml").write_text("name: one\nrules: [{reply: Sure.}]\n")
    text = "name: two\nsets: [{set: figstep, data: copy}]\nmodels: [scripted/script.yaml]\ncontrols: []\n"
    text += f"scorers: [{FIRST}]\n"
    run(text)
    (here / "script.yaml").write_text("name: one\nrules: [{reply: I cannot help with that.}]\n")
    (line,) = plan(jurat)
    assert line == "figstep x scripted/script.yaml: 3 replies (revision changed)"
    _, told = run(text)
    assert numbers(told["cells"][0])["refusal_of_decided"]["value"] == 1.0
    for image in (here / "copy").rglob("SafeBench/*_1_1_6.png"):
        image.write_bytes(image.with_name("query_ForbidQI_1_2_6.png").read_bytes())
    assert plan(jurat) == ["figstep x scripted/script.yaml: 3 replies (content changed)"]


def test_failed_cells_are_rows_with_their_reasons(run, here):
    code, told = run(
        "name: broken\nsets: [{set: pictogram-memes, limit: 2}, figstep]\n"
        "models: [scripted/missing.yaml, 'null?fail=1']\ncontrols: [scripted/yes]\n"
    )
    assert code == 3
    states = {(cell["cell"]): cell.get("reason", cell["status"]) for cell in told["cells"]}
    assert len(states) == 6
    assert states["pictogram-memes x scripted/yes"] == "done"
    assert states["pictogram-memes x scripted/missing.yaml"].startswith("The script missing.yaml cannot be")
    assert states["pictogram-memes x null?fail=1"].startswith("no reply: error:")
    assert states["figstep x scripted/yes"] == "The set 'figstep' is read from your copy: give its path."
    table = read_table(here / "out/judgements.parquet")
    failed = table.where({"state": "failed"})
    assert len(failed) == 5 and all(failed.factor("reason").tolist())
    printed = (here / "out/numbers.md").read_text()
    assert printed.count("failed: ") == 5
    assert "yes-no-first@1" in printed


def test_failed_replies_are_counted_and_asked_for_again(run, jurat):
    text = ONE.replace("{model: counting, max_batch: 1}", "'null?fail=0.4'").replace(
        "protocols: [text_only], ", ""
    )
    code, told = run(text)
    (cell,) = told["cells"]
    errors = cell["scorers"][0]["without_label"]["not scored"]
    assert code == 0 and 0 < errors < 8
    assert numbers(cell)["refusal_of_decided"]["left_out"] == {"error": errors}
    assert plan(jurat) == [f"pictogram-typographic x null?fail=0.4: {errors} of 8 replies"]
    assert run(text, "--strict")[0] == 1


def test_attacks_are_a_factor_and_attacked_cells_are_done_once(jurat, here, run):
    text = (
        "name: x\nsets: [{set: pictogram-query-image, limit: 3}]\nmodels: [scripted/comply]\ncontrols: []\n"
        'attacks: ["liu?image=typography", {attack: carlini, target: Sure}]\n'
    )
    code, told = run(text)
    assert code == 3
    clean, attacked, failed = told["cells"]
    assert (clean["attack"], attacked["attack"]) == ("", "liu?image=typography")
    assert attacked["attack settings"]["size"] == 90 and attacked["status"] == "done"
    assert "gradients with respect to pixels" in failed["reason"]
    table = read_table(here / "out/judgements.parquet")
    units = [table.where({"attack": name}).units.tolist() for name in ("", "liu?image=typography")]
    assert units[0] == units[1] and len(units[0]) == 3
    assert plan(jurat)[:2] == [
        "pictogram-query-image x scripted/comply: done",
        "pictogram-query-image x scripted/comply x liu?image=typography: done",
    ]


DEFENDED = """
name: defended
sets: [{set: pictogram-typographic, limit: 4}]
models: [scripted/half.yaml]
controls: [scripted/comply]
defenses: ["smoothing?copies=3", "jpeg + system-prompt?variant=short"]
"""


def test_models_are_evaluated_under_each_defense_and_what_it_added_is_recorded(run, jurat, here):
    (here / "half.yaml").write_text(
        "name: half\nrules:\n  - {share: 0.5, reply: Sorry.}\n  - {reply: Sure.}\n"
    )
    code, told = run(DEFENDED)
    assert code == 0
    cells = {cell["model"]: cell for cell in told["cells"]}
    base, smoothed = "scripted/half.yaml", "scripted/half.yaml + smoothing?copies=3"
    chained = f"{base} + jpeg + system-prompt?variant=short"
    assert list(cells) == [base, smoothed, chained, "scripted/comply"]  # a control is not defended
    (cost,) = cells[smoothed]["defenses"]
    assert (cost["items"], cost["calls"], cells[base]["defenses"]) == (4, 8, [])
    assert [each["defense"] for each in cells[chained]["defenses"]] == ["jpeg", "system-prompt?variant=short"]
    table = read_table(here / "out/judgements.parquet")
    assert set(table.factors["defense"]) == {"", "smoothing?copies=3", "jpeg + system-prompt?variant=short"}
    log = read_eval_log(cells[smoothed]["log"])
    assert (log.eval.metadata or {})["defenses"] == [cost]
    assert (
        f"x {smoothed}: Defense smoothing?copies=3: 8 calls more for 4 items; "
        in (here / "out/numbers.md").read_text()
    )
    assert all(line.endswith(": done") for line in plan(jurat))


def test_resumed_cell_keeps_what_defenses_added_before(run, calls, here, monkeypatch):
    text = ONE.replace("controls: []", "controls: []\ndefenses: [jpeg]")
    run(text)
    (log,) = (
        found
        for path in (here / "out/logs").glob("*.eval")
        if "defenses" in (found := read_eval_log(path)).eval.metadata
    )
    log.samples = log.samples[1:]
    write_log(log, local_path(log.location))
    _, told = run(text)
    (cost,) = told["cells"][1]["defenses"]
    assert cost["items"] == 9  # eight, and the one that was asked for again


def test_second_process_at_the_same_folder_is_refused(jurat, here):
    (here / "battery.yaml").write_text(ONE)
    (here / "out").mkdir()
    release = lock(here / "out/.lock")
    result = jurat("eval", "battery.yaml", "--out", "out")
    release()
    assert (result.exit_code, "Another process runs a battery in out." in result.output) == (2, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: x\nsets: []\n", "line 2: sets: Tuple should have at least 1 item"),
        ("name: x\nmodels: [null]\n", "is no battery: sets: it is missing"),
        ("sets: [xstest]\n", "is no battery: name: it is missing"),
        ("name: ..\nsets: [xstest]\n", "line 1: name: '..' names no folder"),
        (
            "name: x\nsets: [xstest]\ndefenses: [jpg]\n",
            "line 3: defenses: There is no defense 'jpg'. Did you mean",
        ),
        ("name: x\nsets: [{set: xstest, limits: 3}]\n", "line 2: sets.0.limits: there is no such key"),
        (
            "name: x\nsets:\n  - xstest\nsets: [goat]\n",
            "line 4: while constructing a mapping, found duplicate",
        ),
        ("name: x\n  sets: [\n", "is no battery"),
    ],
)
def test_wrong_files_are_refused_with_their_place(jurat, here, text, told):
    (here / "battery.yaml").write_text(text)
    result = jurat("eval", "battery.yaml")
    assert result.exit_code == 2 and told in result.output


def test_options_of_sets_and_batteries_are_not_mixed(jurat, here):
    (here / "battery.yaml").write_text(ONE)
    for option in (("--limit", "3"), ("--no-images",), ("--by-category",)):
        assert "stand in its file" in jurat("eval", "battery.yaml", *option).output
    assert "--out and --plan are for batteries" in jurat("eval", "xstest", "--plan").output
    assert "Name a model" in jurat("eval", "xstest").output
