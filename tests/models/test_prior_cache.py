"""The cache of priors on disk."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from jurat.content import Failure
from jurat.judge.asking import PriorAnswers
from jurat.judge.questions import Question
from jurat.models import Model, YesNo, open_model
from jurat.models.capabilities import Deterministic
from jurat.models.hf.model import LocalModel
from jurat.models.prior_cache import PriorCache, cache_folder

ANSWER = YesNo(0.123456789012345, 0.3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JURAT_CACHE", str(tmp_path))
    return tmp_path


def counted(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many questions the model is asked from now on, call by call."""
    asked: list[int] = []
    ask = model.ask

    def counting(inquiries: Any) -> Any:
        asked.append(sum(len(inquiry.questions) for inquiry in inquiries))
        return ask(inquiries)

    monkeypatch.setattr(model, "ask", counting)
    return asked


def test_priors_are_asked_once_across_runs(
    folder: Path, llava: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(llava, monkeypatch)
    one, two, three = (Question("statement", f"A {word} is visible.") for word in ("child", "dog", "cat"))
    first = PriorAnswers(llava).of([one, two])
    again = PriorAnswers(llava).of([two, one])
    assert asked == [2]
    assert {q: again[q] for q in (one, two)} == {q: first[q] for q in (one, two)}, "to the last digit"
    PriorAnswers(llava).of([one, three])
    PriorAnswers(llava).of([Question("rule", one.text)])
    assert asked == [2, 1, 1]
    (file,) = (folder / "priors").iterdir()
    assert one.text not in file.read_text()


@pytest.mark.parametrize("value", ["off", ""])
def test_cache_can_be_turned_off(llava: LocalModel, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("JURAT_CACHE", value)
    assert cache_folder() is None
    assert PriorCache.of(llava, "wording") is None


def test_model_without_a_revision_is_not_cached(
    folder: Path, llava: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    null: Model = open_model("null?seed=1")
    assert null.capability(Deterministic) is None and PriorCache.of(null, "wording") is None
    monkeypatch.setattr(llava, "revision", "unknown")
    assert PriorCache.of(llava, "wording") is None


def test_cache_files_differ_by_weights_dtype_template_and_wording(
    folder: Path, llava: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [_file(llava, "one"), _file(llava, "two")]
    for name, value in (("revision", "0123456789ab"), ("dtype", "bfloat16")):
        with monkeypatch.context() as patch:
            patch.setattr(llava, name, value)
            files.append(_file(llava, "one"))
    with monkeypatch.context() as patch:  # other settings, with the same weights
        patch.setattr(llava.network.config.text_config, "rms_norm_eps", 0.1)
        files.append(_file(llava, "one"))
    monkeypatch.setattr(llava.encoder.template, "source", "another")
    files.append(_file(llava, "one"))
    assert len(set(files)) == len(files)


def _file(model: Model, wording: str) -> Path:
    found = PriorCache.of(model, wording)
    assert found is not None
    return found.file


def test_only_measured_answers_are_cached(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "x.jsonl"
    failed = YesNo(0.0, 0.0, Failure("out_of_domain", "Unknown."))
    PriorCache(file).add({"a": ANSWER, "b": failed, "c": YesNo(1.0, 0.0, stated=True)})
    assert PriorCache(file).read({"a": 0, "b": 0, "c": 0, "d": 0}) == {"a": ANSWER}


def test_unreadable_cache_lines_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    PriorCache(file).add({"good": ANSWER, "bad": ANSWER, "torn": ANSWER})
    rows = [json.loads(line) for line in file.read_text().splitlines() if line]
    rows[1]["yes"] = 7.0
    lines = [json.dumps(rows[0]), "no json", "[]", '{"question": 1}', '{"yes": NaN}', json.dumps(rows[1])]
    file.write_bytes(b"\xff\xfe\n" + "\n".join(lines).encode() + b"\n" + json.dumps(rows[2]).encode()[:-5])
    assert PriorCache(file).read({"good": 0, "bad": 0, "torn": 0}) == {"good": ANSWER}
    PriorCache(file).add({"torn": ANSWER})  # a torn line does not take the next one with it
    assert PriorCache(file).read({"good": 0, "torn": 0}) == {"good": ANSWER, "torn": ANSWER}


def test_unwritable_cache_folder_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = PriorCache(tmp_path / "file" / "x.jsonl")
    kept.add({"a": ANSWER})
    assert kept.read({"a": 0}) == {}


def _write(file: Path, writer: int) -> None:
    for n in range(50):
        PriorCache(file).add({f"{writer}-{n}-{m}": ANSWER for m in range(4)})


def test_concurrent_processes_may_write(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(file, writer)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    questions = {f"{w}-{n}-{m}": 0 for w in range(4) for n in range(50) for m in range(4)}
    assert PriorCache(file).read(questions) == dict.fromkeys(questions, ANSWER)


def test_default_folder_is_the_user_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JURAT_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "jurat"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "jurat"
