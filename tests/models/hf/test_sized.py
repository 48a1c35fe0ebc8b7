"""Model sizes and FLOP estimates against hand counts and torch's counter."""

from __future__ import annotations

import copy
from inspect import signature
from threading import Lock
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from jurat.content import Chat, Turn
from jurat.models import Sized
from jurat.models.bundled.model import BundledModel
from jurat.models.hf.model import LocalModel
from jurat.models.hf.prompt import Prompt
from jurat.models.hf.sized import ModelSize

from ..families import BY_NAME, SQUARE, Family
from ..folders import FOLDERS
from ..tiny import PATCH, SIZE, WIDTH, picture

QUESTION = 8
WITHIN = {
    "llava": 0.05,
    "llava-onevision": 0.1,  # patches of padding are left out, and line ends added
    "qwen2.5-vl": 0.1,  # some of its tower's layers look at windows
    "qwen3-vl": 0.05,
    "internvl": 0.15,  # its tower has 17 tokens for 16 patches
    "gemma3": 0.15,  # its projector's pooling
    "idefics3": 0.05,
    "smolvlm": 0.05,
    "mllama": 0.35,  # its tower pads 17 tokens of a tile to 24
    "pixtral": 0.05,
    "mistral3": 0.05,
}
"""Bounds for tiny networks. Networks of real size have 1,025 tokens for 1,024 patches, or 1,608 for 1,601."""


def size_of(family: Family, network: Any) -> ModelSize:
    shown, words = family.prompt(1, (QUESTION,), (SQUARE,)), family.prompt(1, (QUESTION,), None)
    preparing = Lock()

    def encode_chat(chat: Chat) -> Prompt:
        assert preparing.locked(), "tokenizers serve one thread at a time"
        return shown if chat.images else words

    encoder = SimpleNamespace(encode_chat=encode_chat)
    parts = SimpleNamespace(network=network, encoder=encoder, preparing=preparing)
    return ModelSize(parts)  # pyright: ignore[reportArgumentType]


def counted(network: Any, **inputs: Any) -> int:
    """Floating-point operations of a forward pass, as torch counts them."""
    if "logits_to_keep" in signature(network.forward).parameters:
        inputs["logits_to_keep"] = 1
    network.requires_grad_(False)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(use_cache=False, **inputs)
    return counter.get_total_flops()


@pytest.mark.parametrize("name", WITHIN)
def test_prefill_flops_equal_the_torch_counter(name: str) -> None:
    family = BY_NAME[name]
    network = copy.deepcopy(family.network())
    network.set_attn_implementation("eager")  # torch counts no other on a CPU
    prompt = family.prompt(1, (QUESTION,), (SQUARE,))
    ids, along = prompt.row(prompt.segments[0])
    rows = {name: value[None] for name, value in {"input_ids": ids, **along}.items()}
    exact = counted(network, attention_mask=torch.ones_like(ids)[None], **rows, **prompt.images)
    estimate = size_of(family, network).prefill_flops(len(ids), 1)
    assert estimate == pytest.approx(exact, rel=WITHIN[name])


@pytest.mark.parametrize("name", ["blip-2-opt", "instructblip-vicuna"])
def test_q_former_prefill_flops_equal_the_torch_counter(name: str) -> None:
    parts = FOLDERS[name]()
    network = parts.network.eval()
    network.set_attn_implementation("eager")
    model = LocalModel(_loaded(network, parts.processor), name=name)
    chat = Chat((Turn("user", (picture(1), "A dog is visible .")),))
    prompt = model.encoder.encode_chat(chat)
    ids = torch.cat([prompt.prefix, torch.tensor(prompt.segments[0])])[None]
    exact = counted(network, input_ids=ids, attention_mask=torch.ones_like(ids), **prompt.images)
    size = model.capability(Sized)
    assert size is not None
    assert size.prefill_flops(ids.shape[1], 1) == pytest.approx(exact, rel=0.25)


def _loaded(network: Any, processor: Any) -> Any:
    from jurat.models.hf.load_model import LoadedModel

    return LoadedModel(network, processor, "0" * 12, "float32")


def test_tiny_llava_flops_equal_a_hand_count(llava: LocalModel) -> None:
    size = llava.capability(Sized)
    assert size is not None
    vocabulary = len(llava.encoder.tokenizer)
    layer = 2 * WIDTH * WIDTH + 2 * WIDTH * WIDTH // 2 + 3 * WIDTH * 64  # q and o, k and v of half, the MLP
    decoder = 3 * (layer + 2 * WIDTH) + WIDTH
    assert size.language_parameters == decoder + 2 * vocabulary * WIDTH
    patches = (SIZE // PATCH) ** 2
    attention, mlp = 4 * (WIDTH * WIDTH + WIDTH), 2 * WIDTH * 64 + 64 + WIDTH
    tower = 3 * PATCH * PATCH * WIDTH + WIDTH + (patches + 1) * WIDTH + 3 * (attention + mlp + 4 * WIDTH)
    tower += 4 * WIDTH  # the norms before and after its layers
    projector = 2 * (WIDTH * WIDTH + WIDTH)
    assert size.vision_parameters == tower + projector
    assert size.parameters == size.language_parameters + size.vision_parameters

    tokens = 50
    words = 2 * (3 * layer * tokens + vocabulary * WIDTH) + 4 * 3 * WIDTH * tokens**2
    assert size.prefill_flops(tokens) == words
    tower_weights = 3 * PATCH * PATCH * WIDTH + 3 * (4 * WIDTH * WIDTH + 2 * WIDTH * 64)
    look = 2 * (patches * tower_weights + patches * 2 * WIDTH * WIDTH) + 4 * 3 * WIDTH * patches**2
    assert size.prefill_flops(tokens, 2) == words + 2 * look


def test_inactive_experts_are_not_counted() -> None:
    from ..more_families import MORE

    family = next(family for family in MORE if family.name == "minimax-m3-vl")
    size = size_of(family, family.network())
    assert size.parameters > size.language_parameters > 0
    used = [size._used(name) for name, _ in size._multiplied if ".experts." in name]
    assert used and set(used) == {0.5}, "two of four"


def test_bundled_model_reports_its_size(bundled: BundledModel) -> None:
    size = bundled.capability(Sized)
    assert size is not None and size.parameters > 0
    assert size.prefill_flops(100, 1) > size.prefill_flops(100) > size.prefill_flops(50) > 0
