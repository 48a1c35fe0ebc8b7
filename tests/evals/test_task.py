"""Tasks: what a run takes, what its log says of the rest, how failures, epochs and retries count."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import inspect_ai
import pytest
from inspect_ai.log import EvalLog

import jurat.evals._registry  # noqa: F401
from jurat.benchmarks import BENCHMARKS
from jurat.content import Chat, Failure, Reply
from jurat.errors import JuratError
from jurat.evals import evaluation, serve
from jurat.evals.results import results_of, rows_of
from jurat.models import UnsupportedSetting

from ..benchmarks.fixtures.layout import all_layouts
from .conftest import Scripted

YES = "yes-no"
MATCH = "target-string?target=bread&mode=contains"


def run(copy: str, reply: Callable[[Chat], Any] | Scripted, scorer: str = MATCH, **options: Any) -> EvalLog:
    model = reply if isinstance(reply, Scripted) else Scripted(reply)
    task = evaluation("figstep", copy, scorer=scorer, **options)
    (log,) = inspect_ai.eval(task, model=serve(model), display="none", log_dir=os.environ["INSPECT_LOG_DIR"])
    assert log.status == "success", log.error
    return log


@pytest.fixture(autouse=True)
def log_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_LOG_DIR", str(tmp_path / "logs"))


def numbers(log: EvalLog) -> dict[str, tuple[float | None, int, dict[str, int]]]:
    (results,) = results_of(log)
    return {n.metric: (n.found.value, n.found.n, dict(n.found.left_out)) for n in results.numbers}


def test_every_set_is_a_task():
    from inspect_ai._util.registry import registry_lookup

    missing = [name for name in BENCHMARKS.names() if registry_lookup("task", f"jurat/{name}") is None]
    assert not missing


@pytest.mark.slow
@pytest.mark.parametrize(
    "layout", {layout.set: layout for layout in reversed(all_layouts())}.values(), ids=str
)
def test_every_set_runs_under_each_of_its_protocols(layout, tmp_path):
    layout.write(tmp_path)
    data = str(tmp_path / layout.path)
    for protocol in BENCHMARKS.find(layout.set).card.protocols:
        task = evaluation(layout.set, data, scorer=MATCH, protocol=protocol)
        (log,) = inspect_ai.eval(task, model="jurat/null", display="none")
        assert log.status == "success" and not [each.error for each in log.samples if each.error]
        (results,) = results_of(log)
        assert sum(results.labels.values()) == len(log.samples)


def test_images_reach_the_model_and_facts_reach_the_log(copy):
    scripted = Scripted(lambda chat: "Some bread.")
    log = run(copy, scripted)
    assert [(len(chat.images), chat.images[0].size) for chat in scripted.chats] == [(1, (8, 8))] * 3
    assert {chat.generation.max_tokens for chat in scripted.chats} == {512}
    sample = log.samples[0]
    assert (sample.id, sample.metadata["category"], sample.target) == ("1-1", "Illegal Activity", "refuse")
    assert sample.metadata["cluster"] and sample.metadata["fields"]["question"] == "How to bake bread?"
    assert sample.output.model == "scripted@1"


def test_what_the_copy_lacks_is_counted_with_its_reason(copy):
    log = run(copy, lambda chat: "Some bread.")
    data = log.eval.metadata["data"]
    (reason,) = data["skipped_reasons"]
    assert (data["samples"], data["skipped"]) == (3, 1)
    assert reason == "its image 'query_ForbidQI_10_50_6.png' is not in the copy"
    assert data["skipped_rows"][0]["row"].endswith("safebench.csv:4")


REPLIES: dict[str, Any] = {
    "refused": Failure("refused", "Not allowed."),
    "filtered": Failure("filtered", "Filtered."),
    "unparsed": Failure("unparsed", "No choice."),
    "error": Failure("error", "Broken."),
    "crash": RuntimeError("broken"),
    "empty": Reply("", finish="stop"),
    "blank": Reply("  \n", finish="length"),
    "neither": Reply("Perhaps.", finish="stop"),
    "both": Reply("Yes and no.", finish="stop"),
}


def test_reply_without_a_label_is_none_of_the_labels(copy):
    replies = list(REPLIES.values())
    # Epoch k has the seed k - 1: each reply once a sample.
    log = run(copy, lambda chat: replies[chat.generation.seed or 0], scorer=YES, epochs=len(replies))
    (results,) = results_of(log)
    assert dict(results.labels) == {"yes": 0, "no": 0}
    assert results.without == {"unparsed": 12, "not scored": 15}
    assert all(number.found.value is None and number.found.n == 0 for number in results.numbers)
    assert {row["state"] for row in rows_of(log, "yes-no")} == {"unparsed", "error"}


def test_failed_reply_leaves_its_reason_and_the_others_their_numbers(copy):
    log = run(copy, lambda chat: Failure("error", "Broken.") if _first(chat) else "Some bread.")
    assert numbers(log)["asr"] == (1.0, 2, {"error": 1})
    failed = next(sample for sample in log.samples if sample.error)
    assert failed.error.message == "error: Broken."
    (score,) = failed.scores.values()
    assert score.value == "not scored" and "Broken." in score.explanation
    assert log.results.scores[0].metrics["asr n"].value == 2
    assert log.results.scores[0].metrics["asr left out: error"].value == 1
    assert log.results.scores[0].metrics["of not scored"].value == 1


def test_half_a_surrogate_pair_in_a_text_or_a_reply_ends_no_run(tmp_path):
    row = '{"id": "%s", "turns": [{"role": "user", "text": "%s"}], "expected": ["\\ud83d"]}'
    rows = [row % pair for pair in (("a\\ud83d", "Is it \\ud83d?"), ("b", "Is it bread?"))]
    (tmp_path / "samples.jsonl").write_text("\n".join(rows))
    task = evaluation("jurat-layout", str(tmp_path), scorer=MATCH)
    model = Scripted(lambda chat: Failure("error", "No \ud83d.") if "bread" in str(chat.turns) else "\ud83d!")
    (log,) = inspect_ai.eval(task, model=serve(model), display="none", log_dir=str(tmp_path / "logs"))
    assert log.status == "success", log.error
    first, second = log.samples
    assert (first.id, first.output.completion, first.target) == ("a\\ud83d", "\\ud83d!", ["\\ud83d"])
    assert second.error.message == "error: No \\ud83d."


def _first(chat: Chat) -> bool:
    """Whether it shows the picture of the first sample."""
    import io

    from PIL import Image

    from ..benchmarks.fixtures.parts import picture

    return chat.images[0].tobytes() == Image.open(io.BytesIO(picture(6))).tobytes()


def test_refusal_of_the_backend_is_a_refusal_for_refusal_scorers(copy):
    log = run(copy, lambda chat: Failure("refused", "No."), scorer="refusal-phrases-first-sentence")
    assert numbers(log)["refusal_of_decided"] == (1.0, 3, {})


def test_numbers_of_the_log_are_those_that_are_printed(copy):
    log = run(copy, lambda chat: "Some bread." if _first(chat) else "No.")
    (results,) = results_of(log)
    asr = next(number.found for number in results.numbers if number.metric == "asr")
    logged = log.results.scores[0].metrics
    assert logged["asr"].value == asr.value == pytest.approx(1 / 3)
    assert (logged["asr low"].value, logged["asr high"].value) == (asr.interval.low, asr.interval.high)


def test_epochs_draw_with_seeds_of_their_own(copy):
    scripted = Scripted(lambda chat: f"bread {chat.generation.seed}")
    log = run(copy, scripted, epochs=3, seed=7)
    assert {chat.generation.seed for chat in scripted.chats} == {None, 8, 9}
    assert numbers(log)["asr"][1] == 9 and len(log.samples) == 9
    assert {row["epoch"] for row in rows_of(log, "target-string")} == {1, 2, 3}


@pytest.mark.parametrize(("seed", "ids"), [(None, ["1-1", "1-2"]), (5, None)])
def test_limit_takes_the_first_or_a_draw(copy, seed, ids):
    log = run(copy, lambda chat: "No.", limit=2, seed=seed)
    taken = [sample.id for sample in log.samples]
    assert len(taken) == 2 and (ids is None or taken == ids)
    assert log.eval.metadata["data"]["beyond_limit"] == 1
    assert taken == [sample.id for sample in run(copy, lambda chat: "No.", limit=2, seed=seed).samples]


def test_protocol_is_recorded_with_its_differences_from_the_paper(copy):
    scripted = Scripted()
    log = run(copy, scripted, protocol="text_only")
    assert not scripted.chats[0].images
    assert log.eval.metadata["protocol"] == "text_only"
    assert log.eval.metadata["differs_from_paper"] == [
        "the card has no protocol of the paper",
        BENCHMARKS.find("figstep").card.protocols["text_only"].note.rstrip("."),
        "another prompt text (compared with reworded)",
        "images none instead of before (compared with reworded)",
    ]


def test_retry_keeps_replies_and_asks_again_where_there_is_none(copy, tmp_path):
    options = {"data": copy, "scorer": [MATCH]}
    failing = inspect_ai.eval(
        "jurat/figstep", model="jurat/null?fail=0.5", task_args=options, display="none"
    )[0]
    errors = {sample.id for sample in failing.samples if sample.error}
    assert errors and len(errors) < 3
    again = inspect_ai.eval_retry(failing.location, display="none")[0]
    before = {sample.id: sample.uuid for sample in failing.samples}
    kept = {sample.id for sample in again.samples if sample.uuid == before[sample.id]}
    assert kept == set(before) - errors


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"scorer": "refusl"}, "There is no scorer 'refusl'"),
        ({"protocol": "papr"}, "has no protocol 'papr'"),
        ({"groups": "train"}, "The copy has no group 'train'"),
        ({"limit": 0}, "limit is 0; it is a whole number from 1"),
        ({"limit": "all"}, "limit is 'all'"),
        ({"epochs": -1}, "epochs is -1"),
        ({"seed": -1}, "seed is -1; it is a whole number from 0"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(copy, options, told):
    with pytest.raises(JuratError, match=told):
        evaluation("figstep", copy, **{"scorer": MATCH, **options})


def test_unknown_task_argument_is_refused_and_not_ignored(copy):
    with pytest.raises(JuratError, match="The task has no argument 'scorers'"):
        inspect_ai.eval("jurat/figstep", model="jurat/null", task_args={"data": copy, "scorers": YES})


def test_setting_that_the_model_lacks_ends_the_run_before_it_begins(copy):
    model = serve(Scripted(supported_settings=frozenset({"max_tokens"})))
    model.config.top_p = 0.5
    options = {"data": copy, "scorer": MATCH}
    with pytest.raises(UnsupportedSetting, match="'scripted' does not support top_p"):
        inspect_ai.eval("jurat/figstep", model=model, task_args=options)


def test_copy_without_samples_is_an_error(tmp_path):
    (tmp_path / "safebench.csv").write_text(
        "dataset,category_id,task_id,category_name,question,instruction\n"
    )
    with pytest.raises(JuratError, match="There is nothing to evaluate: the copy holds no samples"):
        evaluation("figstep", str(tmp_path), scorer=MATCH)
