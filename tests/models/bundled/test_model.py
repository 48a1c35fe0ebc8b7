"""The bundled model on random weights in its layout; tests/training measures the shipped weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

from jurat.content import Chat, Failure, Generation, Turn
from jurat.models import (
    DifferentiableGate,
    DomainGate,
    Inquiry,
    Model,
    ModelError,
    Vocabulary,
    open_detector,
    open_matcher,
    open_model,
)
from jurat.models.bundled import model as bundled_module
from jurat.models.bundled.domain_gate import Gate, features
from jurat.models.bundled.model import BundledModel
from jurat.models.capabilities import Deterministic

from ..tiny import noise, scene

INSTRUCTION = "Is the following statement true of this image? Answer with Yes or No."
KNOWN = ("Statement: A child is visible.", "Statement: A dog is visible.")
UNKNOWN = "Statement: A helmet is visible."


def about(image: Image.Image | None, *questions: str) -> Inquiry:
    return Inquiry(Chat((Turn("user", (*([image] if image else []), INSTRUCTION)),)), questions)


@pytest.fixture(scope="module")
def foreign() -> Image.Image:
    return noise()


def test_bundled_model_has_gate_and_vocabulary(bundled: BundledModel) -> None:
    assert isinstance(bundled, Model)
    assert bundled.capability(DomainGate) is bundled
    assert isinstance(bundled.capability(Vocabulary), Vocabulary)
    assert bundled.capability(int) is None


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("Statement: A child is visible.", []),
        ("A helmet is left of a second helmet.", ["helmet", "second"]),
        ("Élan, kitchen knife", ["Élan"]),
        ("", []),
    ],
)
def test_unknown_words_are_named_once_in_order(bundled: BundledModel, text: str, unknown: list[str]) -> None:
    vocabulary = bundled.capability(Vocabulary)
    assert vocabulary is not None
    assert vocabulary.unknown_words(text) == unknown


def test_only_the_question_with_an_unknown_word_is_out_of_domain(bundled: BundledModel) -> None:
    image = scene(1)
    (answer,) = bundled.ask([about(image, KNOWN[0], UNKNOWN, KNOWN[1])])
    kinds = [None if one.failure is None else one.failure.kind for one in answer.answers]
    assert kinds == [None, "out_of_domain", None]
    assert answer.answers[1].mass == 0
    assert "'helmet'" in (answer.answers[1].failure.reason if answer.answers[1].failure else "")
    (without,) = bundled.ask([about(image, *KNOWN)])
    assert [answer.answers[i].log_odds for i in (0, 2)] == pytest.approx(
        [a.log_odds for a in without.answers], abs=1e-4
    )
    (none,) = bundled.ask([about(image, UNKNOWN)])
    assert none.answers[0].failure is not None


def test_foreign_image_is_out_of_domain_alone_in_its_batch(
    bundled: BundledModel, foreign: Image.Image
) -> None:
    answers = bundled.ask(
        [about(scene(1), *KNOWN), about(foreign, *KNOWN), about(None, *KNOWN), about(scene(2), *KNOWN)]
    )
    assert [answer.failure.kind if answer.failure else None for answer in answers] == [
        None,
        "out_of_domain",
        None,
        None,
    ]
    assert [len(answer.answers) for answer in answers] == [2, 0, 2, 2]
    found = bundled.foreign([foreign, scene(1)])
    assert [None if failure is None else failure.kind for failure in found] == ["out_of_domain", None]


def test_chat_refuses_foreign_images(bundled: BundledModel, foreign: Image.Image) -> None:
    settings = Generation(max_tokens=2)
    chats = [Chat((Turn("user", (image, "Answer")),), settings) for image in (scene(1), foreign, scene(2))]
    replies = bundled.chat(chats)
    assert [reply.failure.kind if reply.failure else None for reply in replies] == [
        None,
        "out_of_domain",
        None,
    ]


def test_gate_checks_each_distinct_image_once(
    bundled: BundledModel, foreign: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def foreign_of(images: Sequence[Image.Image]) -> list[Failure | None]:
        looked.append(len(images))
        return BundledModel.foreign(bundled, images)

    monkeypatch.setattr(bundled, "foreign", foreign_of)
    settings, images = Generation(max_tokens=2), (scene(1), foreign, scene(1))
    chats = [
        Chat((Turn("user", (image, text)),), settings) for text in ("Answer", "A child") for image in images
    ]
    failed = [reply.failure is not None for reply in bundled.chat(chats)]
    assert failed == [False, True, False] * 2 and looked == [3]


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="weights of the bundled model are not there") as raised:
        BundledModel(tmp_path / "nothing")
    assert raised.value.exit_code == 3


def test_gate_round_trips(tmp_path: Path) -> None:
    gate = Gate(torch.arange(6.0), -0.5, (1, 3), 12.5)
    gate.save(tmp_path)
    again = Gate.load(tmp_path)
    assert again.weight.equal(gate.weight)
    assert (again.bias, again.layers, again.threshold) == (gate.bias, gate.layers, gate.threshold)
    assert json.loads((tmp_path / "domain.json").read_text()) == {
        "version": 1,
        "layers": [1, 3],
        "bias": -0.5,
        "threshold": 12.5,
    }


def test_missing_or_incompatible_gate_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        Gate.load(tmp_path)
    Gate(torch.zeros(2), 0.0, (1,), 1.0).save(tmp_path)
    (tmp_path / "domain.json").write_text('{"version": 2}')
    with pytest.raises(ModelError, match="of version 2; this jurat reads 1"):
        Gate.load(tmp_path)


def test_strangeness_is_linear_in_the_features(bundled: BundledModel) -> None:
    tower = bundled._local.network.model.vision_tower
    pixels = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = features(tower, pixels, (1, 3)).double()
    weight = torch.randn(found.shape[1], generator=torch.Generator().manual_seed(2))
    expected = found @ weight.double() + 0.25
    strangeness = Gate(weight, 0.25, (1, 3), 0.0).strangeness(tower, pixels)
    assert strangeness.tolist() == pytest.approx(expected.tolist(), abs=1e-3)


def test_features_leave_the_class_token_out(bundled: BundledModel) -> None:
    tower = bundled._local.network.model.vision_tower
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        hidden = tower(pixels, output_hidden_states=True).hidden_states
    assert hidden[1].shape[1] == 5
    patches = hidden[1][:, 1:]
    expected = torch.cat([patches.mean(1), patches.std(1)], dim=1)
    assert torch.allclose(features(tower, pixels, (1,)), expected, rtol=1e-5, atol=1e-5)


def test_nan_strangeness_is_foreign(bundled_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bundled_folder, tmp_path / "copy")
    gate = Gate.load(folder)
    Gate(gate.weight * float("nan"), gate.bias, gate.layers, gate.threshold).save(folder)
    failure = BundledModel(folder, device="cpu").foreign([scene(1)])[0]
    assert failure is not None


@pytest.fixture
def without_gate(bundled_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bundled_folder, tmp_path / "copy", ignore=shutil.ignore_patterns("domain.*"))


@pytest.mark.parametrize("name", ["bundled", "naive"])
def test_shipped_models_do_not_open_without_their_gate(
    without_gate: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(bundled_module, {"bundled": "WEIGHTS", "naive": "NAIVE"}[name], without_gate)
    with pytest.raises(ModelError, match=r"domain\.json cannot be read"):
        open_model(name, device="cpu")


def test_model_without_a_gate_refuses_no_image_and_says_so(
    bundled: BundledModel, without_gate: Path, foreign: Image.Image
) -> None:
    ungated = BundledModel(without_gate, device="cpu", needs_gate=False)
    assert ungated.revision.endswith("-ungated") and "ungated" not in bundled.revision
    assert ungated.capability(DomainGate) is None is ungated.capability(DifferentiableGate)
    (gated, there), (known, shown) = (
        model.ask([about(foreign, *KNOWN), about(scene(1), *KNOWN)]) for model in (bundled, ungated)
    )
    assert gated.failure is not None and known.failure is None
    assert [one.yes for one in shown.answers] == pytest.approx([one.yes for one in there.answers], rel=1e-4)


def test_gate_is_used_where_it_is_there(bundled: BundledModel, bundled_folder: Path) -> None:
    opened = BundledModel(bundled_folder, device="cpu", needs_gate=False)
    assert opened.revision == bundled.revision and opened.capability(DomainGate) is opened


def test_answers_from_gate_features_equal_those_from_pixels(bundled: BundledModel) -> None:
    inquiries = [about(scene(seed), *KNOWN) for seed in range(3)]
    told = bundled.ask(inquiries)
    alone = bundled._local.ask(inquiries)
    assert not any(answer.failure for answer in told)
    for one, other in zip(told, alone, strict=True):
        assert [a.log_odds for a in one.answers] == pytest.approx(
            [a.log_odds for a in other.answers], abs=1e-4
        )
        assert one.usage == other.usage


def test_calls_use_one_thread_and_restore_the_torch_setting(bundled: BundledModel) -> None:
    seen: list[int] = []
    hook = bundled._local.network.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    tower = bundled._local.network.model.vision_tower
    also = tower.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    look = Chat((Turn("user", (scene(1),)),))
    try:
        torch.set_num_threads(3)
        bundled.ask([Inquiry(look, ("Is a dog visible?",))])
        bundled.chat([look])
        bundled.foreign([scene(1)])
        with pytest.raises(AttributeError):
            bundled.ask([None])  # pyright: ignore[reportArgumentType]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
        hook.remove()
        also.remove()
    assert len(seen) >= 4 and set(seen) == {1}


@pytest.mark.parametrize("open_", [open_detector, open_matcher])
def test_bundled_detector_and_matcher_use_one_thread(open_: Any) -> None:
    eye, before = open_("bundled", device="cpu"), torch.get_num_threads()
    seen: list[int] = []
    for module in eye.network.modules():
        module.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    try:
        torch.set_num_threads(3)
        words: Any = [["dog"]] if hasattr(eye, "detect") else ["dog"]
        found = getattr(eye, "detect", None) or eye.match
        found = found([scene(1)], words)
        assert len(found) == 1 and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert seen and set(seen) == {1}


def test_overlapping_streams_restore_torch_threads() -> None:
    model = BundledModel(device="cpu")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        assert model.lanes == 4
        first, second = model.at_work(), model.at_work()
        first.__enter__()
        assert (torch.get_num_threads(), model.lanes) == (1, 1)
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_num_threads() == 1
        second.__exit__(None, None, None)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_model_that_asks_anything_shares_no_cache_of_priors() -> None:
    """Priors of statements that the model of this name refuses would enter its records."""
    model = BundledModel(device="cpu")
    assert model.capability(Deterministic) is not None
    model.ask_anything()
    assert model.capability(Deterministic) is None


def test_gate_gives_gradients_that_agree_with_its_verdicts(
    bundled: BundledModel, foreign: Image.Image
) -> None:
    """Positive exactly where the gate refuses an image, and changed by pixels."""
    images = [scene(1), foreign.convert("RGB"), scene(2).resize((96, 96))]
    gate = bundled.capability(DifferentiableGate)
    assert gate is bundled
    pixels = [to_tensor(image).requires_grad_() for image in images]
    excess = gate.excess(pixels, rounded=True)
    refused = [found is not None for found in bundled.foreign(images)]
    assert refused[:2] == [False, True]
    assert [float(each.detach()) > 0 for each in excess] == refused
    slopes = torch.autograd.grad(excess.sum(), pixels)
    assert all(slope.norm() > 0 for slope in slopes)
