"""`jurat judge --out DIR`, a run that can be stopped and resumed, and `jurat merge`."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from jurat.runs import read_rows

POLICY = ["--constitution", "colours.yaml", "--model", "colour"]


def outcomes(run: str) -> dict[str, str]:
    rows = list(read_rows(run))
    assert len({(row["id"], row["occurrence"]) for row in rows}) == len(rows)
    return {row["id"]: row["outcome"] for row in rows}


def decisions(run: str) -> dict[str, str]:
    return {row["id"]: row["decision"] for row in read_rows(run)}


@pytest.fixture
def run(pics, jurat):
    """Judges pics/ into run/."""
    result = jurat("judge", "pics", *POLICY, "--out", "run")
    assert result.exit_code == 0, result.output
    return result


def test_run_folder_holds_parts_and_facts(run):
    assert len(outcomes("run")) == 7
    assert "7 rows are new in run. To look at them: jurat report run --out page.html" in run.stdout
    assert sorted(str(path) for path in Path("run").rglob("*.parquet")) == ["run/parts/part-000000.parquet"]
    facts = json.loads(Path("run/_run.json").read_text())
    assert facts["settings"]["model"] == "colour@1"
    assert facts["constitution"]["text"].startswith("name: colours")
    assert facts["constitution"]["rules"][0]["rule"] == "Nothing red may be visible."
    assert set(facts["thresholds"]) == {"no-red", "no-green"}
    assert {"time", "command", "jurat", "python", "libraries", "machine"} == set(facts["sessions"][0])
    assert os.uname().nodename not in Path("run/_run.json").read_text().split('"')


def test_same_command_judges_only_new_items(run, jurat):
    before = decisions("run")
    Image.new("RGB", (8, 8), "red").save("pics/more.png")
    result = jurat("judge", "pics", *POLICY, "--out", "run")
    assert result.exit_code == 0, result.output
    after = decisions("run")
    assert after.items() >= before.items()
    assert set(after) - set(before) == {"pics/more.png"}
    assert "1 row is new in run, beside 7 from before." in result.stdout
    again = jurat("judge", "pics", *POLICY, "--out", "run")
    assert again.stdout.strip() == "Nothing was left to judge: all of 8 rows are in run."
    assert decisions("run") == after
    assert len(json.loads(Path("run/_run.json").read_text())["sessions"]) == 3


def test_fail_on_counts_rows_of_earlier_sessions(run, jurat):
    assert jurat("judge", "pics", *POLICY, "--out", "run", "--fail-on", "unsafe").exit_code == 1
    assert jurat("judge", "pics", *POLICY, "--out", "run").exit_code == 0


def test_repeated_uri_is_recorded_and_resumed_per_occurrence(pics, jurat):
    for _ in range(2):
        assert (
            jurat("judge", "pics/green.png", "pics", "pics/green.png", *POLICY, "--out", "run").exit_code == 0
        )
    rows = [(row["id"], row["occurrence"]) for row in read_rows("run")]
    assert len(rows) == 9
    assert [key for key in rows if key[0] == "pics/green.png"] == [("pics/green.png", n) for n in range(3)]


def test_errors_are_judged_again_only_with_retry_errors(run, jurat):
    before = decisions("run")
    Image.new("RGB", (8, 8), "red").save("pics/broken.png")
    jurat("judge", "pics", *POLICY, "--out", "run")
    assert decisions("run") == before
    result = jurat("judge", "pics", *POLICY, "--out", "run", "--retry-errors")
    assert "jurat: 1 item that was an error is judged anew." in result.stderr
    after = decisions("run")
    assert {id for id in after if after[id] != before[id]} == {"pics/broken.png"}
    assert outcomes("run")["pics/broken.png"] == "unsafe"


def test_error_row_of_a_missing_item_is_kept(run, jurat):
    Path("pics/broken.png").unlink()
    jurat("judge", "pics", *POLICY, "--out", "run", "--retry-errors")
    assert outcomes("run")["pics/broken.png"] == "error"


def test_kept_error_rows_count_for_the_exit_code(pics, jurat):
    for path in pics.rglob("*"):
        if path.is_file() and path.name != "broken.png":
            path.unlink()
    judge = ("judge", "pics/broken.png", "pics/red-1.png", *POLICY, "--out", "run", "--retry-errors")
    Image.new("RGB", (8, 8), "red").save("pics/red-1.png")
    assert jurat(*judge[:-1], "--fail-on", "error").exit_code == 1
    Path("pics/broken.png").unlink()
    assert jurat("judge", "pics", *judge[3:], "--fail-on", "error").exit_code == 1
    Path("pics/red-1.png").unlink()
    assert jurat("judge", "pics/gone.png", *POLICY, "--out", "none").exit_code == 3
    again = jurat("judge", "pics/gone.png", *POLICY, "--out", "none")
    assert again.exit_code == 3
    assert "jurat: Nothing could be judged. All rows are errors, from before." in again.stderr
    assert "--retry-errors judges them anew." in again.stderr


def test_run_killed_before_its_facts_starts_over(pics, jurat):
    Path("run/parts").mkdir(parents=True)
    for name in (".lock", "._run.json.12-ab34.writing"):
        Path("run", name).touch()
    assert jurat("judge", "pics", *POLICY, "--out", "run").exit_code == 0
    assert {path.name for path in Path("run").iterdir()} == {".lock", "parts", "_run.json"}


def test_recorded_command_escapes_names_and_masks_signatures(pics, jurat, monkeypatch):
    monkeypatch.setattr("jurat.sources.remote._PAUSE", 0.0)
    name = b"caf\xe9.png"
    Image.new("RGB", (8, 8), "red").save(os.fsencode(pics) + b"/" + name)
    signed = "http://me:pass@127.0.0.1:9/a.png?X-Amz-Signature=abc"
    command = ["judge", os.fsdecode(b"pics/" + name), signed, "-c", "colours.yaml", "-m", "null"]
    monkeypatch.setattr(sys, "argv", ["jurat", *command, "--out", "run"])
    result = jurat(*command, "--out", "run")
    assert result.exit_code == 0, result.output
    told = Path("run/_run.json").read_text()
    assert "caf\\\\xe9.png" in told
    assert "X-Amz-Signature=***" in told and "pass" not in told and "abc" not in told


def test_changed_constitution_is_refused_with_the_difference(run, jurat):
    law = Path("colours.yaml")
    law.write_text(law.read_text().replace("The picture is red.", "The picture is blue."))
    before = decisions("run")
    result = jurat("judge", "pics", *POLICY, "--out", "run")
    assert result.exit_code == 2
    assert "jurat: run holds a run under other settings:" in result.stderr
    assert "-      - The picture is red." in result.stderr.replace("    - -", "    -    -") or (
        "The picture is red." in result.stderr and "The picture is blue." in result.stderr
    )
    assert "--fresh to set that run aside and start a new one." in result.stderr
    assert decisions("run") == before
    fresh = jurat("judge", "pics", *POLICY, "--out", "run", "--fresh")
    assert fresh.exit_code == 0
    assert "jurat: The run that was in run is now in run.before-1." in fresh.stderr
    assert outcomes("run")["pics/blue-1.jpg"] == "unsafe"
    assert decisions("run.before-1") == before


CHANGES = {
    "model": (["--model", "null"], "model: colour@1 -> null@none"),
    "preset": (["--preset", "direct"], "-> direct"),
    "without": (["--without", "views"], "preset: "),
    "allow unknown": (["--allow-unknown"], "allow unknown: False -> True"),
    "shard": (["--shard", "1/2"], "shard: none -> 1/2"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_settings_are_refused(run, jurat, change):
    added, told = CHANGES[change]
    law = Path("colours.yaml")  # thresholds that differ besides change nothing about it
    law.write_text(law.read_text().replace("severity: low", "severity: low\n    break_above: 0.9"))
    result = jurat("judge", "pics", *POLICY, "--out", "run", *added)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def made_before(name: str) -> None:
    """Rewrites the run as the version with contrasts and the like left it, made with this preset."""
    facts = json.loads(Path("run/_run.json").read_text())
    facts["settings"]["preset"] = name
    facts["settings"]["preset_settings"] |= {
        "contrasts": ["negation"] if "contrasts" in name else [], "coherent": False, "temperature": 1.0,
        "incoherent_above": 0.5, "placebos": 0, "placebo_gap": 0.05, "costs": False, "ordered": False,
        "nulls": ["none"],
    }  # fmt: skip
    Path("run/_run.json").write_text(json.dumps(facts))


def test_run_of_an_older_version_resumes_and_is_re_decided(run, jurat):
    made_before("jurat")
    result = jurat("judge", "pics", *POLICY, "--out", "run")
    assert (result.exit_code, "Nothing was left to judge" in result.output) == (0, True), result.output
    made_before("jurat")
    law = Path("colours.yaml")
    law.write_text(law.read_text().replace("severity: low", "severity: low\n    break_above: 0.9"))
    result = jurat("judge", "pics", *POLICY, "--out", "run")
    assert result.exit_code == 0 and "7 rows are decided again" in result.stderr, result.output


def test_run_with_a_removed_part_is_refused_by_name(run, jurat):
    made_before("jurat+contrasts")
    for command in (
        ("judge", "pics", *POLICY, "--out", "run"),
        ("judge", "pics", *POLICY, "--out", "run", "--retry-errors"),
        ("merge", "run", "--out", "all"),
    ):
        result = jurat(*command)
        assert result.exit_code == 2
        assert "This record was made with `contrasts`, which jurat no longer has." in result.output
    assert not Path("all").exists()
    assert jurat("judge", "pics", *POLICY, "--out", "run", "--fresh").exit_code == 0


def test_changed_thresholds_re_decide_recorded_rows(run, jurat):
    before = {row["id"]: row for row in read_rows("run")}
    law = Path("colours.yaml")
    law.write_text(law.read_text().replace("severity: low", "severity: high\n    break_above: 0.9999"))
    Image.new("RGB", (8, 8), (10, 200, 30)).save("pics/more.png")
    result = jurat("judge", "pics", *POLICY, "--out", "run")
    assert result.exit_code == 0, result.output
    told = (
        "7 rows are decided again from the scores on record, with no call of the model: 6 came out otherwise."
    )
    assert told in result.stderr
    assert (
        "jurat: Only thresholds, severities or actions differ from those of the run in run:" in result.stderr
    )
    assert "+    break_above: 0.9999" in result.stderr
    assert "1 row is new in run, beside 7 from before." in result.stdout
    after = {row["id"]: row for row in read_rows("run")}
    assert len(after) == 8
    green, more = after["pics/green.png"], after["pics/more.png"]
    assert (before["pics/green.png"]["outcome"], green["outcome"], more["outcome"]) == (
        "unsafe",
        "unsure",
        "unsure",
    )
    assert green["rules"] == more["rules"]
    assert len({row["thresholds"] for row in after.values()}) == 1
    # What says nothing else is the decision that it was; what does is a new one.
    same = {id for id in before if before[id]["decision"] == after[id]["decision"]}
    assert same == {"pics/broken.png"}
    facts = json.loads(Path("run/_run.json").read_text())
    assert facts["thresholds"]["no-green"]["break_above"] == 0.9999
    assert facts["settings"]["thresholds"] == green["thresholds"] != before["pics/green.png"]["thresholds"]
    session = facts["sessions"][-1]["redecided"]
    assert (session["from"], session["rows"]) == (before["pics/green.png"]["thresholds"], 7)
    again = jurat("judge", "pics", *POLICY, "--out", "run")
    assert again.stdout.strip() == "Nothing was left to judge: all of 8 rows are in run."
    assert (again.stderr, decisions("run")) == ("", {id: row["decision"] for id, row in after.items()})


def test_re_deciding_equals_judging_again(run, jurat):
    law = Path("colours.yaml")
    law.write_text(law.read_text().replace("severity: low", "keep_below: 0.001\n    break_above: 0.95"))
    for out in ("run", "anew"):
        assert jurat("judge", "pics", *POLICY, "--out", out).exit_code == 0
    told = ("outcome", "broken", "reason", "rules", "thresholds", "constitution", "error", "cost")
    one, other = (
        {row["id"]: [row[name] for name in told] for row in read_rows(out)} for out in ("run", "anew")
    )
    assert one == other


def test_rows_with_too_little_evidence_are_judged_again(pics, jurat):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("blue", "red")]
    frames[0].save("pics/moving.gif", save_all=True, append_images=frames[1:])
    assert jurat("judge", "pics", *POLICY, "--out", "run").exit_code == 0
    before = decisions("run")
    law = Path("colours.yaml")
    law.write_text(law.read_text().replace("severity: high", "severity: critical"))
    result = jurat("judge", "pics", *POLICY, "--out", "run")
    assert "1 row is judged anew: its record does not hold what that takes." in result.stderr
    assert "1 row is new in run, beside 7 from before." in result.stdout
    after = {row["id"]: row for row in read_rows("run")}
    assert after["pics/moving.gif"]["rules"][0]["severity"] == "critical"
    assert after["pics/moving.gif"]["decision"] != before["pics/moving.gif"]
    assert not Path("run/_retrying.jsonl").exists()
    # One whose image is gone by then keeps the verdict that it had.
    law.write_text(law.read_text().replace("severity: critical", "severity: low"))
    Path("pics/moving.gif").unlink()
    assert jurat("judge", "pics", *POLICY, "--out", "run").exit_code == 0
    assert outcomes("run")["pics/moving.gif"] == "unsafe"
    assert decisions("run")["pics/moving.gif"] == after["pics/moving.gif"]["decision"]


WRONG = {
    "a folder of other things": (
        ["--out", "pics"],
        "pics has other files in it, and is not the folder of a run.",
    ),
    "a file": (["--out", "colours"], "colours is a file."),
    "overwrite": (
        ["--out", "run", "--overwrite"],
        "run is the folder of a run, and --overwrite replaces files.",
    ),
    "fresh for a file": (["--out", "v.jsonl", "--fresh"], "--fresh is for runs in a folder."),
    "retry without a folder": (["--retry-errors"], "--retry-errors is for runs in a folder."),
    "retry of nothing": (["--out", "new", "--retry-errors"], "There is no run in new whose errors"),
    "no such shard": (["--shard", "0/3"], "--shard is I/N with I from 1 to N, not '0/3'."),
    "no shard": (["--shard", "one"], "--shard is I/N with I from 1 to N, not 'one'."),
    "no such list": (["--known", "gone.csv"], "gone.csv cannot be read: No such file or directory."),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_an_error_line(pics, jurat, case):
    added, told = WRONG[case]
    shutil.copy("colours.yaml", "colours")
    result = jurat("judge", "pics", *POLICY, *added)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert told in result.stderr
    assert not Path("new").exists()


def test_table_columns_are_recorded(pics, jurat):
    Path("t.csv").write_text("file,source,id\npics/green.png,=1+1,g\npics/red-1.png,b,r\n")
    result = jurat("judge", "t.csv", *POLICY, "--column", "file", "--id-column", "id", "--out", "run")
    assert result.exit_code == 0, result.output
    assert {row["id"]: row["columns"] for row in read_rows("run")} == {
        "g": {"source": "=1+1"},
        "r": {"source": "b"},
    }
    for out in ("v.jsonl", "v.parquet"):
        jurat("judge", "t.csv", *POLICY, "--column", "file", "--out", out)
        assert [row["columns"] for row in read_rows(out)] == [
            {"source": "=1+1", "id": "g"},
            {"source": "b", "id": "r"},
        ]
    wrong = jurat("judge", "t.csv", *POLICY, "--column", "picture")
    assert (wrong.exit_code, "t.csv has no column 'picture'" in wrong.stderr) == (2, True)


def test_merged_shards_equal_one_run(pics, jurat):
    jurat("judge", "pics", *POLICY, "--out", "whole")
    for number in (1, 2, 3):
        assert jurat("judge", "pics", *POLICY, "--out", f"s{number}", "--shard", f"{number}/3").exit_code in (
            0,
            3,
        )
    partly = jurat("merge", "s1", "s3", "--out", "part")
    assert partly.stderr == "Shard 2/3 is not among them.\n"
    result = jurat("merge", "s1", "s2", "s3", "--out", "run")
    assert result.output == "Wrote 7 rows of 3 runs to run.\n"
    assert outcomes("run") == outcomes("whole")
    again = jurat("judge", "pics", *POLICY, "--out", "run")
    assert "Nothing was left to judge: all of 7 rows are in run." in again.stdout


def test_merge_names_a_run_without_rows(pics, jurat):
    jurat("judge", "pics", *POLICY, "--out", "s1", "--shard", "1/2")
    jurat("judge", "pics", *POLICY, "--out", "s2", "--shard", "2/2")
    shutil.rmtree("s2/parts")
    assert jurat("merge", "s1", "s2", "--out", "run").stderr == "s2 holds no rows.\n"


def _many_rows(folder: Path, count: int) -> None:
    """Repeats the rows of a run under other ids."""
    lines = [json.dumps({**row, "id": "NUMBER"}, default=str) + "\n" for row in read_rows(folder)]
    (part,) = (folder / "parts").iterdir()
    part.with_name("_part-000001.jsonl").write_text(
        "".join(lines[number % len(lines)].replace("NUMBER", str(number)) for number in range(count))
    )


OTHER_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(each, marks=pytest.mark.slow) for each in OTHER_SIGNALS)]
)
def test_interrupted_merge_leaves_nothing(run, jurat, number: signal.Signals):
    count = 20_000
    _many_rows(Path("run"), count)
    before = sorted(Path().iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "jurat", "merge", "run", "--out", "all"], stderr=subprocess.PIPE
    )
    while not list(Path().glob(".all.*.merging/parts")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not Path("all").exists()
    if number != signal.SIGKILL:
        assert sorted(Path().iterdir()) == before
        return
    assert len(list(Path().glob(".all.*.merging"))) == 1
    assert jurat("merge", "run", "--out", "all").exit_code == 0  # removes what the killed one left behind
    assert sorted(Path().iterdir()) == sorted([*before, Path("all")])
    assert sum(1 for _ in read_rows(Path("all"))) == count + 7


def test_runs_under_different_settings_are_not_merged(run, jurat):
    jurat("judge", "pics", "-c", "colours.yaml", "-m", "null", "--out", "other")
    result = jurat("merge", "run", "other", "--out", "all")
    assert result.exit_code == 2
    assert (
        "jurat: run and other were made under different settings:\n  model: colour@1 -> null@none"
        in result.stderr
    )
    assert "pics is not the folder of a run" in jurat("merge", "pics", "--out", "all").stderr
    assert "both hold 'pics/" in jurat("merge", "run", "run", "--out", "all").stderr
    assert not Path("all").exists()


def test_report_accepts_a_run_folder(run, jurat):
    result = jurat("report", "run", "--out", "page.html")
    assert result.exit_code == 0, result.output
    assert "7 verdicts" in result.output


def start(tmp_path: Path, *args: str, **kwargs) -> subprocess.Popen:
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "-m", "jurat", "judge", "pics", "-c", "colours.yaml", *args]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=tmp_path, text=True, preexec_fn=heed, **pipes, **kwargs)


def wait_for_rows(run: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (run / "_run.json").exists() and sum(1 for _ in read_rows(run)) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("no rows came")


def more(pics: Path, count: int = 20) -> None:
    for i in range(count):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(pics / f"more-{i:02}.png")


def test_ctrl_c_finishes_the_batch_and_the_run_resumes(pics, tmp_path, jurat):
    more(pics)
    going = start(tmp_path, "-m", "null?pace=0.02", "--batch-size", "4", "--out", "run")
    wait_for_rows(tmp_path / "run", 4)
    os.kill(going.pid, signal.SIGINT)
    _, stderr = going.communicate(timeout=60)
    assert going.returncode == 130
    rows = len(outcomes("run"))
    assert 4 <= rows < 27
    assert "jurat: finishing the current batch; Ctrl-C again stops at once." in stderr
    told = f"interrupted after {rows} items; {rows} rows are new in run. Rerun the same command to resume."
    assert told in stderr
    assert "Traceback" not in stderr
    assert jurat("judge", "pics", "-c", "colours.yaml", "-m", "null?pace=0.02", "--out", "run").exit_code == 0
    assert len(outcomes("run")) == 27


SLOW_WORKERS = """
import contextlib, sys, time
from jurat.cli import main
from jurat.judge import judge
from jurat.models import ConcurrencySupport, null

class Two:
    lanes = 2
    at_work = staticmethod(contextlib.nullcontext)

def slow(step, batches, lanes):
    from jurat.judge.concurrency import in_lanes
    def late(batch):
        number, items = batch
        time.sleep(120.0 if number else 0.0)
        return step(items)
    return in_lanes(late, enumerate(batches), 2)

judge.in_lanes = slow
null.NullModel.capability = lambda self, kind: Two() if kind is ConcurrencySupport else None
sys.argv[0] = "jurat"
main()
"""


def test_second_ctrl_c_does_not_wait_for_workers(pics, tmp_path):
    more(pics)
    arguments = ["judge", "pics", "-c", "colours.yaml", "-m", "null", "--batch-size", "4", "--out", "run"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    going = subprocess.Popen([sys.executable, "-c", SLOW_WORKERS, *arguments], cwd=tmp_path, **pipes)
    wait_for_rows(tmp_path / "run", 4)
    for _ in range(2):
        os.kill(going.pid, signal.SIGINT)
        time.sleep(0.5)
    _, stderr = going.communicate(timeout=20)
    assert (going.returncode, "Traceback" in stderr) == (130, False)
    assert len(outcomes("run")) == 4


def test_second_ctrl_c_stops_at_once_and_keeps_rows(pics, tmp_path):
    more(pics)
    going = start(tmp_path, "-m", "null?pace=0.1", "--batch-size", "4", "--out", "run")
    wait_for_rows(tmp_path / "run", 4)
    os.kill(going.pid, signal.SIGINT)
    time.sleep(0.3)
    asked = time.monotonic()
    os.kill(going.pid, signal.SIGINT)
    _, stderr = going.communicate(timeout=60)
    assert (going.returncode, "Traceback" in stderr) == (130, False)
    assert time.monotonic() - asked < 20
    assert Counter(outcomes("run").values()).total() % 4 == 0


def test_vanished_images_stop_the_run_and_it_resumes(pics, tmp_path, jurat):
    more(pics)
    going = start(tmp_path, "-m", "null?pace=0.02", "--batch-size", "4", "--out", "run")
    wait_for_rows(tmp_path / "run", 4)
    pics.rename(tmp_path / "unmounted")
    _, stderr = going.communicate(timeout=60)
    assert going.returncode == 2
    assert "jurat: pics is not there any more.\n  Verdicts so far are kept." in stderr
    (tmp_path / "unmounted").rename(pics)
    assert jurat("judge", "pics", "-c", "colours.yaml", "-m", "null?pace=0.02", "--out", "run").exit_code == 0
    told = outcomes("run")
    assert len(told) == 27
    assert [id for id, outcome in told.items() if outcome == "error"] == ["pics/broken.png"]


def test_python_resumes_a_run_of_the_command(run, jurat):
    from jurat.judge import Judge, open_verdict_run
    from jurat.sources import find_items

    Image.new("RGB", (8, 8), "red").save("pics/more.png")
    judge = Judge("colours.yaml", "colour")
    with open_verdict_run("run", judge) as resumed:
        for verdict in judge.stream(resumed.pending(find_items(["pics"]))):
            resumed.write(verdict)
    assert (resumed.before.total(), resumed.rows, outcomes("run")["pics/more.png"]) == (7, 1, "unsafe")
    again = jurat("judge", "pics", *POLICY, "--out", "run")
    assert again.stdout.strip() == "Nothing was left to judge: all of 8 rows are in run."
