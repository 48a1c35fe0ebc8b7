"""The vocabularies are append-only: ids of shipped tokenizers never change, and a missing word is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jurat.models.bundled import model as bundled
from jurat.models.bundled import rule_writer as writing
from jurat.models.hf import detectors as detecting
from jurat.models.hf import matchers as matching
from training import vocabulary
from training.clip import train as clip
from training.mllm import tokenizer as mllm
from training.owl import train as owl
from training.writer import train as writer

END = "</s>"
SHIPPED: dict[str, tuple[Path, str, Callable[[Path], Any]]] = {
    "mllm": (bundled.WEIGHTS, "mllm", mllm.build_tokenizer),
    "naive": (bundled.NAIVE, "mllm", mllm.build_tokenizer),
    "clip": (matching.WEIGHTS, "clip", clip.tokenizer_of),
    "owl": (detecting.WEIGHTS, "owl", owl.tokenizer_of),
    "writer": (writing.WEIGHTS, "writer", writer.build_tokenizer),
}


def file_of(name: str) -> Path:
    return vocabulary.VOCABULARIES / f"{SHIPPED[name][1]}.txt"


def shipped_words(name: str) -> list[str]:
    """Words of a shipped tokenizer in the order of their ids, without the end mark of a text tower."""
    saved = json.loads((SHIPPED[name][0] / "tokenizer.json").read_text())
    ids = saved["model"]["vocab"] | {token["content"]: token["id"] for token in saved["added_tokens"]}
    words = sorted(ids, key=lambda word: ids[word])
    assert [ids[word] for word in words] == list(range(len(words)))
    return words[:-1] if words[-1] == END else words


@pytest.mark.parametrize("name", SHIPPED)
def test_vocabulary_begins_with_the_words_of_the_shipped_tokenizer(name: str) -> None:
    words, shipped = vocabulary.read_vocabulary(file_of(name), ()), shipped_words(name)
    assert words[: len(shipped)] == shipped


@pytest.mark.parametrize("name", SHIPPED)
def test_training_code_rebuilds_the_shipped_tokenizer(name: str, tmp_path: Path) -> None:
    folder, kind, build = SHIPPED[name]
    file = tmp_path / "words.txt"
    file.write_text("\n".join(shipped_words(name)) + "\n")
    saved = json.loads((folder / "tokenizer.json").read_text())
    # The next MLLMs need words that those which ship were made without.
    tokenizer = mllm.tokenizer_of(shipped_words(name)) if kind == "mllm" else build(file)
    built = json.loads(tokenizer.backend_tokenizer.to_str())
    for part in built.keys() - {"padding", "truncation"}:  # these are settings of the last call before saving
        assert built[part] == saved[part], part


@pytest.mark.parametrize("name", SHIPPED)
def test_appended_word_moves_no_id(name: str, tmp_path: Path) -> None:
    build = SHIPPED[name][2]
    file = tmp_path / "words.txt"
    file.write_text(file_of(name).read_text() + "unicorn\n")
    before, after = (build(path).get_vocab() for path in (file_of(name), file))
    assert "unicorn" not in before and "unicorn" in after
    if name in ("clip", "owl"):  # a text tower's end mark stays last
        assert before.pop(END) == len(before) and after[END] == len(after) - 1
    assert {word: after[word] for word in before} == before


def test_added_sentence_of_known_words_moves_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = mllm.build_tokenizer().get_vocab()
    monkeypatch.setattr(mllm, "TEXTS", ("statement nothing column the dog", *mllm.TEXTS))
    assert mllm.build_tokenizer().get_vocab() == before


def test_sentence_with_a_new_word_is_refused_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mllm, "TEXTS", ("a unicorn greets a dog", *mllm.TEXTS))
    with pytest.raises(
        ValueError, match=r"mllm\.txt lacks 'unicorn', 'greets'\. Append each at the end of the file"
    ):
        mllm.build_tokenizer()


def test_repeated_word_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("dog\ncat\ndog\n")
    with pytest.raises(ValueError, match=r"words\.txt holds words twice: 'dog'"):
        vocabulary.read_vocabulary(file, ())
