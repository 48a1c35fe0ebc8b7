"""`jurat metrics`: the list, a metric's description, and its value on a file."""

from __future__ import annotations

import json

import pytest

from jurat.metrics import METRICS


@pytest.fixture
def answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "answers.csv"
    path.write_text("item,verdict,state\n1,unsafe,\n2,safe,\n3,,refused\n4,maybe,\n5,unsafe,scored\n")
    return path


def test_list_has_formula_source_and_evidence_of_every_metric(jurat):
    listed = json.loads(jurat("metrics", "--json").stdout)
    assert [each["name"] for each in listed] == METRICS.names()
    assert all(each["formula"] and each["source"] and each["evidence"] for each in listed)
    sri = next(each for each in listed if each["name"] == "sri")
    assert (sri["evidence"], sri["unverified"]) == ("ours", True)
    shown = " ".join(jurat("metrics").stdout.split())
    assert "successes / decided rows" in shown and "(ours: unverified)" in shown


def test_name_alone_describes_the_metric(jurat):
    shown = jurat("metrics", "wintore").stdout
    assert "column outputs" in shown and "option thresholds" in shown
    facts = json.loads(jurat("metrics", "asr@k", "--json").stdout)
    assert [column["name"] for column in facts["columns"]] == ["unit", "success"]
    assert facts["options"][0]["name"] == "k"


def test_value_on_a_file_says_n_interval_and_what_was_left_out(jurat, answers):
    command = ["metrics", "asr", "--file", answers, "--column", "success=verdict", "--labels", "unsafe, safe"]
    result = jurat(*command)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "asr = 0.666667"
    assert "n 3 rows" in lines and "left out 1 refused" in lines and "left out 1 unreadable" in lines
    assert "line 5: success: 'maybe' is none of the labels unsafe, safe" in lines
    facts = json.loads(jurat(*command, "--json").stdout)
    assert (facts["value"], facts["n"]) == (pytest.approx(2 / 3), 3)
    assert facts["left_out"] == {"refused": 1, "unreadable": 1}
    reason = "success: 'maybe' is none of the labels unsafe, safe"
    assert facts["problems"] == [{"place": "line 5", "reason": reason, "kind": "unreadable"}]
    assert facts["interval"][0] < facts["value"] < facts["interval"][1]


def test_repeated_ratings_are_not_headed_as_unreadable(jurat, answers):
    answers.write_text("unit,rater,rating\na,x,1\na,y,1\na,x,2\nb,x,1\nb,y,2\nc,x,\nc,y,1,\n")
    shown = jurat("metrics", "gwet_ac1", "-f", answers).stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "left out 1 repeated ratings" in lines and "left out 1 unreadable" in lines
    repeated = lines[lines.index("repeated ratings: 1 row") + 1]
    assert repeated == "line 4: rater x rated unit a in line 2 already"
    assert lines[lines.index("unreadable: 1 row") + 1] == "line 8: 4 cells where the header has 3"


def test_metric_that_is_not_available_says_why_and_exits_with_3(jurat, answers):
    answers.write_text("truth,score\n1,0.2\n1,0.9\n")
    result = jurat("metrics", "auroc", "--file", answers)
    assert result.exit_code == 3
    assert "auroc not available: all rows are of one class" in result.stdout
    facts = json.loads(jurat("metrics", "auroc", "--file", answers, "--json").stdout)
    assert (facts["value"], facts["interval"], facts["reason"]) == (None, None, "all rows are of one class")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["asr", "--file", "answers.csv"],
            "There is no column 'success': the rows have item, verdict, state.",
        ),
        (["asr", "--file", "none.csv"], "none.csv cannot be read"),
        (["ars"], "There is no metric 'ars'.\n  Did you mean 'asr'"),
        (["--file", "answers.csv"], "--file needs the name of a metric"),
        (["asr", "--file", "answers.csv", "--set", "mode"], "--set 'mode' is not NAME=VALUE"),
        (
            ["asr", "--file", "answers.csv", "--column", "a=b", "--column", "a=c"],
            "--column 'a=c' is there twice",
        ),
        (["asr", "--file", "answers.csv", "--k", "2"], "asr has no option 'k'"),
        (["asr@k", "--file", "answers.csv", "--k", "2", "--set", "k=3"], "--k and --set k=... say the same."),
        (["asr", "--file", "answers.csv", "--draws", "5"], "draws must be 0, or 20 or more"),
        (["asr", "--file", "answers.csv", "--seed", "-1"], "The seed must be 0 or more."),
        (["asr", "--file", "answers.csv", "--labels", "a,,b"], "A label is empty"),
        (["asr", "--labels", "a,b"], "--labels needs --file."),
    ],
)
def test_wrong_usage_is_an_error(jurat, answers, arguments, message):
    result = jurat("metrics", *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_options_are_given_by_set_and_k(jurat, answers):
    answers.write_text("unit,success\na,0\na,1\nb,0\nb,0\n")
    one, two = (
        json.loads(jurat("metrics", "asr@k", "--file", answers, "--json", *more).stdout)["value"]
        for more in (["--k", "1"], ["--set", "k=2"])
    )
    assert (one, two) == (0.25, 0.5)


def test_labels_with_commas_are_given_as_a_json_list(jurat, answers):
    answers.write_text('success\n"yes, sir"\nno\n')
    command = ["metrics", "asr", "--file", answers, "--json", "--labels"]
    assert json.loads(jurat(*command, '["yes, sir", "no"]').stdout)["value"] == 0.5
    assert "--labels is not a JSON list" in jurat(*command, "[yes").output


def test_paths_of_images_start_at_the_folder_of_the_file(jurat, tmp_path, monkeypatch):
    from PIL import Image

    folder = tmp_path / "pairs"
    folder.mkdir()
    Image.radial_gradient("L").save(folder / "a.png")
    (folder / "pairs.jsonl").write_text('{"image": "a.png", "reference": "a.png"}\n')
    result = jurat("metrics", "ssim", "--file", folder / "pairs.jsonl", "--json")
    assert json.loads(result.stdout)["value"] == pytest.approx(1)
