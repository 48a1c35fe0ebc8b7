"""Local models: asking, chatting, sampling, loading, revisions and dtypes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from jurat.content import Chat, Generation, Turn
from jurat.errors import JuratError
from jurat.models import Inquiry, Model, ModelError, ModelSpec, Steerable, open_model
from jurat.models.hf import model as local
from jurat.models.hf.generation import decode
from jurat.models.hf.load_model import LoadedModel, choose_device, choose_dtype, weights_digest
from jurat.models.hf.model import LocalModel

from ..tiny import picture

INSTRUCTION = "Is the following statement true of this image? Answer with Yes or No."
QUESTIONS = (
    "Statement: A child is visible.",
    "Statement: A dog is visible.",
    "Statement: A child touches a kitchen knife.",
)


def chat_about(*images: Image.Image, **settings: Any) -> Chat:
    return Chat((Turn("user", (*images, INSTRUCTION)),), Generation(**settings))


def test_ask_answers_every_question_of_every_inquiry(llava: LocalModel) -> None:
    assert isinstance(llava, Model)
    inquiries = [Inquiry(chat_about(picture(seed, (20 + 9 * seed, 40))), QUESTIONS) for seed in range(4)]
    inquiries += [
        Inquiry(chat_about(), QUESTIONS),
        Inquiry(chat_about(picture(1), picture(2)), QUESTIONS[:1]),
    ]
    together = llava.ask(inquiries)
    alone = [llava.ask([inquiry])[0] for inquiry in inquiries]
    for one, other in zip(together, alone, strict=True):
        assert [a.log_odds for a in one.answers] == pytest.approx(
            [a.log_odds for a in other.answers], abs=1e-4
        )
        assert one.basis == "measured" and one.failure is None
        assert all(0 < answer.mass <= 1 for answer in one.answers)
    assert together[0].usage.shared_tokens > 0


def test_closed_model_is_an_error(llava: LocalModel) -> None:
    model = LocalModel(
        LoadedModel(llava.network, llava.encoder.processor, "0" * 12, "float32"), name="closed"
    )
    model.close()
    for verb in (
        lambda: model.ask([Inquiry(chat_about(picture(1)), ("Is it?",))]),
        lambda: model.chat([chat_about(picture(1))]),
        lambda: model.capability(Steerable),
    ):
        with pytest.raises(ModelError, match="'closed' is closed"):
            verb()


def test_unreadable_image_fails_only_its_item(llava: LocalModel) -> None:
    stream = BytesIO()
    picture(1).save(stream, "PNG")
    bad = Image.open(BytesIO(stream.getvalue()[:60]))  # opens, but cannot be loaded
    answers = llava.ask([Inquiry(chat_about(image), QUESTIONS) for image in (picture(1), bad, picture(2))])
    assert [answer.failure is None for answer in answers] == [True, False, True]
    failure = answers[1].failure
    assert failure is not None and failure.kind == "error"
    assert "processor could not take it" in failure.reason
    replies = llava.chat([chat_about(bad, max_tokens=2), chat_about(picture(1), max_tokens=2)])
    assert replies[0].failure is not None and replies[1].failure is None


def test_batched_chats_with_different_settings_equal_singles(llava: LocalModel) -> None:
    chats = [
        chat_about(picture(1), max_tokens=3),
        chat_about(picture(2), max_tokens=9),
        chat_about(max_tokens=5, temperature=1.0, seed=7),
        chat_about(picture(3), picture(4), max_tokens=6, temperature=0.7, seed=8),
        chat_about(picture(2), max_tokens=9, temperature=5.0, seed=9),
    ]
    together = llava.chat(chats)
    assert together == [llava.chat([chat])[0] for chat in chats]
    for chat, reply in zip(chats, together, strict=True):
        assert 0 < reply.usage.output_tokens <= chat.generation.max_tokens
    assert together[1].text != together[4].text


def test_chats_are_halved_when_memory_runs_out(llava: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    chats = [chat_about(picture(n), max_tokens=3) for n in range(5)]
    together = llava.chat(chats)
    rows: list[int] = []

    def scarce(network: Any, tokenizer: Any, prompts: Any, *rest: Any) -> Any:
        rows.append(len(prompts))
        if len(prompts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(network, tokenizer, prompts, *rest)

    monkeypatch.setattr(local, "decode", scarce)
    assert llava.chat(chats) == together
    assert rows == [5, 2, 3, 1, 2]


def test_seed_determines_the_sample(llava: LocalModel) -> None:
    draws = {
        llava.chat([chat_about(picture(1), max_tokens=6, temperature=3.0, seed=seed)])[0].text
        for seed in range(6)
    }
    assert len(draws) > 3
    again = llava.chat([chat_about(picture(1), max_tokens=6, temperature=3.0, seed=5)])[0].text
    assert again in draws


def test_gumbel_sampling_follows_the_softmax(llava: LocalModel) -> None:
    """400 draws of one token against their probabilities, by a chi-square of the frequent ones."""
    temperature, n = 4.0, 400
    prompt = llava.encoder.encode_chat(chat_about(picture(1)))
    ids = torch.cat([prompt.prefix, torch.tensor(prompt.segments[0])])[None]
    with torch.inference_mode():
        chances = (llava.network(input_ids=ids, **prompt.images).logits[0, -1] / temperature).softmax(-1)
    tokens = llava.encoder.tokenizer.convert_ids_to_tokens(list(range(len(chances))))
    chats = [chat_about(picture(1), max_tokens=1, temperature=temperature, seed=seed) for seed in range(n)]
    texts = [reply.text for reply in llava.chat(chats)]
    likely = [i for i in chances.argsort(descending=True)[:8].tolist() if not tokens[i].startswith("<")]
    counts = [texts.count(tokens[i]) for i in likely]
    chi_square = sum(
        (c - n * float(chances[i])) ** 2 / (n * float(chances[i]))
        for c, i in zip(counts, likely, strict=True)
    )
    assert chi_square < 27, (counts, [n * float(chances[i]) for i in likely])


def test_logits_processors_are_honoured(llava: LocalModel) -> None:
    yes = llava.encoder.tokenizer.convert_tokens_to_ids("Yes")

    def only_yes(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        forced = torch.full_like(scores, float("-inf"))
        forced[:, yes] = 0
        return forced

    free = chat_about(picture(1), max_tokens=3)
    forced = replace(free, generation=replace(free.generation, logits_processors=(only_yes,)))
    replies = llava.chat([forced, free])
    assert replies[0].text == "Yes Yes Yes"
    assert replies[1] == llava.chat([free])[0]


def test_revision_is_the_digest_of_the_weights(llava_folder: Path, llava: LocalModel, tmp_path: Path) -> None:
    digest = weights_digest(llava_folder)
    assert len(digest) == 12
    assert llava.revision == f"{digest}-pil", "what resizes images is part of it"
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert weights_digest(tmp_path) != digest
    (tmp_path / "model.safetensors").write_bytes(b"other still")
    assert weights_digest(tmp_path) == hashlib.sha256(b"other still").hexdigest()[:12]


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match="holds no safetensors") as raised:
        open_model(f"hf/{tmp_path}")
    assert "convert them to safetensors" in str(raised.value)
    assert raised.value.exit_code == 3


@pytest.mark.parametrize(
    ("write", "message"),
    [
        ({}, "holds no safetensors weights"),
        ({"model.safetensors": b""}, "holds no config.json"),
        (
            {"model.safetensors": b"", "config.json": b"{}"},
            "holds no processor_config.json or preprocessor_config.json",
        ),
        (
            {"model.safetensors": b"", "config.json": b"{}", "preprocessor_config.json": b"{}"},
            "holds no tokenizer.json",
        ),
        (
            {
                "model.safetensors": b"\2" + bytes(7) + b"{}",
                "config.json": b'{"model_type": "never-heard-of"}',
                "processor_config.json": b"{}",
                "tokenizer.json": b"{}",
            },
            "could not be loaded",
        ),
    ],
)
def test_folder_without_a_model_is_one_error_line(
    tmp_path: Path, write: dict[str, bytes], message: str
) -> None:
    for name, content in write.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message) as raised:
        open_model(f"hf/{tmp_path}")
    assert "\n" not in raised.value.message


HUB = """
import sys
from jurat.models import ModelError, open_model
print(open_model("hf/acme/tiny", device="cpu").revision)
try:
    open_model("hf/acme/absent")
except ModelError as error:
    print(error.message.count("\\n"), error.message)
"""


@pytest.mark.slow
def test_cached_hub_model_has_its_commit_as_revision(llava_folder: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--acme--tiny"
    shutil.copytree(llava_folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", HUB], capture_output=True, text=True, check=True, env=environment
    )
    revision, absent = done.stdout.splitlines()
    assert revision == f"{commit[:12]}-pil"
    assert absent.startswith("0 There is no folder 'acme/absent', and no such model in the cache")


@pytest.mark.parametrize("reference", ["/nowhere/at/all", "./nowhere", "a/b/c"])
def test_missing_path_is_not_looked_up_on_the_hub(reference: str) -> None:
    with pytest.raises(ModelError, match="There is no folder"):
        open_model(f"hf/{reference}")


def test_devices_and_dtypes_are_checked() -> None:
    with pytest.raises(ModelError, match="The device 'warp:9' cannot be used"):
        choose_device("warp:9")
    with pytest.raises(JuratError, match="There is no dtype 'float5'"):
        choose_dtype("float5", torch.device("cpu"))
    assert choose_dtype(None, torch.device("cpu")) == "float32"
    assert choose_dtype("auto", torch.device("cuda")) == "bfloat16"
    assert choose_dtype("bf16", torch.device("cpu")) == "bfloat16"


def test_dtype_is_applied_and_recorded(llava_folder: Path) -> None:
    model = open_model(f"hf/{llava_folder}", dtype="bfloat16", device="cpu")
    assert model.dtype == "bfloat16"
    (answer,) = model.ask([Inquiry(chat_about(picture(1)), QUESTIONS)])
    (full,) = open_model(ModelSpec(f"hf/{llava_folder}", device="cpu")).ask(
        [Inquiry(chat_about(picture(1)), QUESTIONS)]
    )
    assert [a.log_odds for a in answer.answers] == pytest.approx([a.log_odds for a in full.answers], abs=0.3)
