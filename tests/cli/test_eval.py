"""`jurat eval` and `jurat score`: what they print, what they write, and with which code they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inspect_ai.log import read_eval_log, write_eval_log

from jurat.files import lock

from ..benchmarks.fixtures import figstep

MATCH = "target-string?target=Yes&mode=contains"
REFUSALS = "refusal-phrases-first-sentence"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("figstep")
    figstep.repository(folder)
    return str(folder)


@pytest.fixture
def evaluated(jurat, copy, tmp_path):
    """Runs `jurat eval figstep` with a model whose replies are drawn from a seed."""

    def run(*more: str, model: str = "null?seed=3", scorer: str = MATCH):
        options = ("--data", copy, "--model", model, "--scorer", scorer, "--log-dir", str(tmp_path / "logs"))
        return jurat("eval", "figstep", *options, *more)

    return run


def log_in(folder: Path) -> Path:
    (found,) = (folder / "logs").glob("*.eval")
    return found


def test_eval_prints_every_number_with_what_it_is_of(evaluated, tmp_path):
    result = evaluated()
    assert result.exit_code == 0, result.output
    told = " ".join(result.stdout.split())
    assert "FigStep SafeBench, protocol" in told and ": 3 samples" in told
    assert "model: jurat/null?seed=3 (null?seed=3@none)" in told
    assert "left out: 1 row: its image 'query_ForbidQI_10_50_6.png' is not in the copy" in told
    assert "replies: stop 3" in told
    assert "target-string-contains@1[=Yes]: match 2, no_match 1" in told
    assert "0.667" in told and "interval of asr: Wilson" in told
    assert f"log: {log_in(tmp_path)}" in told


def test_eval_prints_what_was_attacked_and_what_was_not(jurat, tmp_path):
    set_name = "pictogram-query-image"
    options = ("--model", "scripted/comply", "--limit", "4", "--log-dir", str(tmp_path / "logs"))
    result = jurat("eval", set_name, *options, "--attack", "liu?image=picture")
    assert result.exit_code == 0, result.output
    told = " ".join(result.stdout.split())
    assert "attack: liu?image=picture, seed 0: 4 samples (0.0 s)" in told
    result = jurat("eval", set_name, *options, "--attack", "gong")
    assert result.exit_code == 2 and "no sample could be attacked (4 because it has no field" in result.output
    script = tmp_path / "attacker.yaml"
    script.write_text("name: known\nrules: [{when: axe|knife, reply: Ways to hand it over}]\n")
    attacker = ("--attack", "gong", "--attacker", f"scripted/{script}", "--strict")
    result = jurat("eval", set_name, *options[:2], "--limit", "4", "--log-dir", tmp_path / "logs", *attacker)
    told = " ".join(result.stdout.split())
    assert result.exit_code == 1, result.output
    assert "attack: gong, seed 0: 3 samples (4 queries" in told and "attacker's model: scripted/" in told
    assert "not attacked: 1 sample: error: No rule of the script 'known' fits." in told


def test_score_adds_scorers_without_the_model_and_keeps_the_earlier_ones(evaluated, jurat, tmp_path):
    evaluated("--json")
    log = log_in(tmp_path)
    result = jurat("score", str(log), "--scorer", REFUSALS, "--scorer", MATCH.replace("Yes", "No"), "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert [each["scorer"] for each in facts["scorers"]] == [
        "target-string-contains@1[=Yes]",
        "refusal-phrases-first-sentence@1",
        "target-string-contains@1[=No]",
    ]
    first, refusals, again = (each["labels"] for each in facts["scorers"])
    assert first == {"match": again["no_match"], "no_match": again["match"]}
    assert refusals == {"refusal": 0, "no_refusal": 3}
    assert list(log.parent.iterdir()) == [log]


def test_score_can_write_another_log(evaluated, jurat, tmp_path):
    evaluated()
    log, other = log_in(tmp_path), tmp_path / "new folder" / "scored.eval"
    before = log.read_bytes()
    assert jurat("score", str(log), "--scorer", REFUSALS, "--out", str(other)).exit_code == 0
    assert log.read_bytes() == before
    assert REFUSALS in jurat("score", str(other)).stdout.replace("\n", "")


def test_score_waits_for_no_other_process_and_leaves_nothing_behind(evaluated, jurat, tmp_path):
    evaluated()
    log = log_in(tmp_path)
    before, held = log.read_bytes(), log.with_name(f".{log.name}.lock")
    release = lock(held)
    result = jurat("score", log, "--scorer", REFUSALS)
    release()
    assert result.exit_code == 2 and "Another process is adding scores to" in result.output
    assert log.read_bytes() == before
    assert jurat("score", log, "--scorer", REFUSALS).exit_code == 0
    assert jurat("score", log, "--scorer", "answer-safety").exit_code == 2
    assert list(log.parent.iterdir()) == [log]


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("there.eval", "already exists and was not changed"),
        ("scores.txt", "is no name of a log: it ends in .eval or .json"),
    ],
)
def test_score_replaces_no_other_file(evaluated, jurat, tmp_path, out, told):
    evaluated()
    (tmp_path / "there.eval").write_text("bread")
    result = jurat("score", log_in(tmp_path), "--scorer", REFUSALS, "--out", tmp_path / out)
    assert result.exit_code == 2 and told in " ".join(result.output.split())
    assert (tmp_path / "there.eval").read_text() == "bread"
    assert "--out is for the log with further scores" in jurat("score", log_in(tmp_path), "--out", out).output


def test_json_has_each_number_with_its_n_interval_and_left_out(evaluated):
    result = evaluated("--json", "--by-category", model="null?fail=0.5")
    facts = json.loads(result.stdout)
    (scorer,) = facts["scorers"]
    asr = scorer["numbers"][0]
    assert asr["n"] + sum(asr["left_out"].values()) == 3
    assert asr["left_out"] == {"error": scorer["without_label"]["not scored"]}
    assert {number.get("category") for number in scorer["numbers"]} == {
        None,
        "Financial Advice",
        "Illegal Activity",
    }
    assert facts["data"]["skipped"] == 1 and facts["replies"]["error"] == asr["left_out"]["error"]


def test_strict_fails_where_something_is_missing(evaluated):
    assert evaluated("--strict").exit_code == 1


def test_run_without_a_judgement_exits_with_3(evaluated):
    result = evaluated(model="null?fail=1")
    assert result.exit_code == 3
    assert "no reply could be scored" in result.output and "not available" in result.output
    why = "There is no reply to score: error: The null model failed, as it was asked to."
    assert f"without a judgement, 3: {why}" in " ".join(result.output.split())


def test_grounds_of_a_judge_that_is_down_are_told(evaluated):
    judge = "answer-safety?model=null?fail=1"
    result = evaluated("--json", scorer=judge)
    (scorer,) = json.loads(result.stdout)["scorers"]
    assert result.exit_code == 3 and scorer["labels"] == {"unsafe": 0, "safe": 0}
    assert sum(scorer["grounds"].values()) == 3 == sum(scorer["without_label"].values())


def test_samples_without_a_category_are_a_row_of_their_own(evaluated, jurat, tmp_path):
    evaluated()
    log = read_eval_log(str(log_in(tmp_path)))
    log.samples[0].metadata["category"] = None
    write_eval_log(log, str(tmp_path / "part.eval"))
    result = jurat("score", str(tmp_path / "part.eval"), "--by-category", "--json")
    numbers = json.loads(result.stdout)["scorers"][0]["numbers"]
    of = {each.get("category"): each["n"] for each in numbers if each["metric"] == "asr"}
    assert of[""] == 1 and of.pop(None) == sum(of.values()) == 3
    assert "asr, no category" in jurat("score", str(tmp_path / "part.eval"), "--by-category").stdout


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            ("--scorer", "refusal"),
            "The scorer 'refusal' needs a model that judges.\n  Name one for all scorers",
        ),
        (("--scorer", "target-string?mode=is&mode=contains"), "has the option 'mode' twice"),
        (("--protocol", "papr"), "has no protocol 'papr'"),
        (("--group", "train"), "The copy has no group 'train'"),
    ],
)
def test_wrong_usage_exits_with_2_before_anything_runs(evaluated, tmp_path, more, told):
    result = evaluated(*more)
    assert result.exit_code == 2 and told in result.output
    assert not list(tmp_path.glob("logs/*"))


def test_folders_that_cannot_be_written_are_named(jurat, tmp_path):
    (tmp_path / "file").write_text("bread")
    (tmp_path / "b.yaml").write_text(
        "name: b\nsets: [pictogram-memes?n=2]\nmodels: [null?seed=1]\nscorers: [yes-no]\n"
    )
    for arguments in (
        ("pictogram-memes?n=2", "--model", "null", "--log-dir", tmp_path / "file"),
        (tmp_path / "b.yaml", "--out", tmp_path / "file"),
    ):
        result = jurat("eval", *map(str, arguments))
        assert result.exit_code == 2
        assert "file cannot be written: " in result.output


def test_unknown_set_model_and_data_are_named(jurat, copy, tmp_path):
    def told(*arguments: str) -> str:
        result = jurat("eval", *arguments)
        assert result.exit_code == 2
        return result.output

    assert "There is no evaluation set 'figsteps'" in told("figsteps", "--data", copy, "--model", "null")
    assert "There is no model 'nul'" in told("figstep", "--data", copy, "--model", "nul")
    assert "There is no file or folder" in told("figstep", "--data", str(tmp_path / "no"), "--model", "null")


@pytest.mark.parametrize(
    ("content", "told"), [(None, "There is no log"), (b"PK not a log", "cannot be read as a log")]
)
def test_what_is_no_log_is_wrong_usage(jurat, tmp_path, content, told):
    path = tmp_path / "a.eval"
    if content is not None:
        path.write_bytes(content)
    result = jurat("score", str(path))
    assert result.exit_code == 2 and told in result.output


@pytest.mark.parametrize("status", ["started", "cancelled"])
def test_log_of_a_run_that_did_not_end_is_no_result(evaluated, jurat, tmp_path, status):
    evaluated()
    log = read_eval_log(str(log_in(tmp_path)))
    log.status, log.samples = status, log.samples[:1]
    write_eval_log(log, str(tmp_path / "part.eval"))
    result = jurat("score", str(tmp_path / "part.eval"))
    assert result.exit_code == 130 and "to resume it: inspect eval-retry" in result.output
    assert "left out: 2 replies of a run that did not end" in result.output
    # A log that another process may be writing is not changed; a cancelled one is complete.
    result = jurat("score", str(tmp_path / "part.eval"), "--scorer", REFUSALS)
    refused = "did not end, or is not over: no scores were added" in result.output
    assert (result.exit_code, refused) == ((2, True) if status == "started" else (130, False))
    other = jurat("score", tmp_path / "part.eval", "--scorer", REFUSALS, "--out", tmp_path / "copy.eval")
    assert f"{REFUSALS}@1" in other.output
    log.samples = []
    write_eval_log(log, str(tmp_path / "none.eval"))
    result = jurat("score", str(tmp_path / "none.eval"))
    assert result.exit_code == 2 and "Its run did not end. To resume it: inspect eval-retry" in result.output


def test_log_that_cannot_be_written_is_said(jurat, copy, tmp_path):
    (tmp_path / "file").write_text("")
    result = jurat(
        "eval",
        "figstep",
        "--data",
        copy,
        "--model",
        "null",
        "--scorer",
        MATCH,
        "--log-dir",
        str(tmp_path / "file" / "logs"),
    )
    assert result.exit_code == 2 and "cannot be written: Not a directory" in result.output


def test_images_that_are_not_in_the_log_are_read_from_where_they_were(evaluated, tmp_path):
    from inspect_ai.log import read_eval_log

    from jurat.evals.samples import sample_of

    evaluated("--no-images")
    sample = read_eval_log(str(log_in(tmp_path))).samples[0]
    assert "data:image" not in sample.model_dump_json()
    (image,) = sample_of(str(sample.id), sample.metadata, sample.messages).item.lazy_images()
    assert image.open().startswith(b"\x89PNG")
