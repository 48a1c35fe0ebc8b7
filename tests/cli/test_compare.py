"""`jurat compare` and `jurat judges`, from stored logs to what is printed and written."""

from __future__ import annotations

import json
import shutil

import pytest
from inspect_ai.log import read_eval_log, write_eval_log

from ..evals.drawn_logs import LAX, STRICT, people_labels


@pytest.fixture(scope="module")
def labels(logs, tmp_path_factory):
    return people_labels(logs["careful"], tmp_path_factory.mktemp("labels") / "people.csv")


def line(output: str, start: str) -> list[str]:
    """The cells of the first line that begins so."""
    found = next(each for each in output.splitlines() if each.startswith(start))
    return [cell for cell in found.split("  ") if cell.strip()]


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def test_compare_prints_paired_differences(jurat, logs):
    result = jurat("compare", logs["careful"], logs["open"])
    assert result.exit_code == 0, result.output
    told = result.stdout
    assert "Pictogram typographic, protocol text_only: 36 samples in both" in told
    assert f"{LAX}: share of 'refusal'" in told
    assert [cell.strip() for cell in line(told, "all")][:4] == ["all", "32", "0.188", "0.062"]
    assert [cell.strip() for cell in line(told, "fire")][:4] == ["fire", "6", "0.000", "0.000"]
    assert "samples that differ: only A 10, only B 0" in told and "32 samples in 16 clusters" in told
    assert "not decided in both: unparsed in A 2, error in A 2" in told


def test_compare_as_json_takes_folders_and_a_scorer(jurat, logs):
    folders = (logs["careful"].parent, logs["open"].parent)
    result = jurat("compare", *folders, "--scorer", "refusal-phrases-lax", "--json")
    (pair,) = json.loads(result.stdout)["pairs"]
    (found,) = pair["scorers"]
    assert (found["overall"]["n"], found["overall"]["mcnemar"]["only_a"]) == (32, 10)
    assert pair["scorers_left_out"] == {STRICT: "not asked for"}
    assert [each["category"] for each in found["categories"]][:2] == ["alcohol", "blades"]
    assert pair["a"]["protocol"] == "text_only" and pair["a"]["samples"] == 36


def test_compare_says_that_both_logs_hold_the_same_replies(jurat, logs, tmp_path):
    told = "A and B hold the same 36 replies of one run"
    assert told in jurat("compare", logs["open"], shutil.copy(logs["open"], tmp_path)).stdout
    assert told not in jurat("compare", logs["open"], logs["silent"]).stdout


def test_compare_of_what_cannot_be_paired_is_wrong_usage(jurat, logs, tmp_path):
    result = jurat("compare", logs["careful"], tmp_path)
    assert result.exit_code == 2 and "holds no log" in result.output
    result = jurat("compare", logs["careful"], logs["open"], "--scorer", "jury")
    assert result.exit_code == 2 and "Not both logs have the scorer 'jury'" in result.output


def test_sets_that_cannot_be_compared_leave_the_others_their_results(jurat, logs, tmp_path):
    for side in ("a", "b"):
        log = read_eval_log(str(logs["open" if side == "a" else "silent"]))
        (tmp_path / side).mkdir()
        write_eval_log(log, str(tmp_path / side / "typographic.eval"))
        log.eval.metadata |= {"set": "figstep", "protocol": side}
        write_eval_log(log, str(tmp_path / side / "figstep.eval"))
    result = jurat("compare", tmp_path / "a", tmp_path / "b", "--json")
    found = json.loads(result.stdout)
    assert [pair["a"]["set"] for pair in found["pairs"]] == ["pictogram-typographic"]
    (told,) = found["sets_left_out"]
    assert told == "figstep: not compared: A was run under the protocol a, B under b."
    result = jurat("compare", tmp_path / "a", tmp_path / "b", "--scorer", "jury")
    assert result.exit_code == 2 and "Not both logs have the scorer 'jury'" in result.output


def test_judges_prints_agreement_worth_rates_and_conclusions(jurat, logs, labels):
    result = jurat("judges", logs["careful"], "--labels", labels, "--sampling", "random")
    assert result.exit_code == 0, result.output
    told = result.stdout
    assert f"J1 is {STRICT}: event 'refusal'; scored 32, unparsed 2" in told
    assert (
        "31 replies, 12 of them 'refusal'" in told and "ids of the file that no sample has: 1 (9999)" in told
    )
    assert "without a reply, and not judged: 2" in told
    assert "J1      0.500 (0.123 to 0.877)   12   1.000 (0.661 to 1.000)   19   0" in told
    assert line(told, "J1, people")[1].strip() == "31 of 31"
    assert "0.188 (" in told and "ppi" in told
    assert "J1: a random sample of 31 labels; labels of all replies would not halve the interval" in told
    assert "One log: there is nothing to compare." in told


def test_judges_added_by_score_are_compared(jurat, logs, tmp_path):
    for name in ("open", "silent"):
        shutil.copy(logs[name], tmp_path / f"{name}.eval")
    added = "refusal-phrases-gcg-style"
    for name in ("open", "silent"):
        assert jurat("score", tmp_path / f"{name}.eval", "--scorer", added).exit_code == 0
    out = tmp_path / "page" / "judges.md"
    result = jurat("judges", tmp_path / "open.eval", tmp_path / "silent.eval", "--out", out, "--json")
    facts = json.loads(result.stdout)
    assert [each["judge"] for each in facts["judges"]][2] == "refusal-phrases-gcg-style@1"
    (conclusion,) = facts["conclusions"]
    assert conclusion["verdict"] == "survives" and len(conclusion["under"]) == 3
    page = out.read_text()
    assert "## Conclusion: survives" in page and "| J3 |" in page and "refusal-phrases-gcg-style@1" in page
    assert jurat("judges", tmp_path, "--out", out).exit_code == 2
    assert jurat("judges", tmp_path, "--out", out, "--overwrite").exit_code == 0


def test_pairs_of_different_sets_are_counted_with_the_reason(jurat, logs, tmp_path):
    other = read_eval_log(str(logs["silent"]))
    other.eval.metadata["set"] = "figstep"
    write_eval_log(other, str(tmp_path / "other.eval"))
    told = jurat("judges", logs["open"], tmp_path / "other.eval", "--scorer", "refusal-phrases-lax").stdout
    assert (
        "1 pair of logs: A is of the set pictogram-typographic, B of figstep: nothing can be paired." in told
    )


def test_sampling_without_labels_is_wrong_usage(jurat, logs):
    result = jurat("judges", logs["open"], "--sampling", "random")
    assert result.exit_code == 2 and "--labels FILE" in result.output
