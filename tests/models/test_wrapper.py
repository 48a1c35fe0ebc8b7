"""ModelWrapper forwards `ask` and `chat`, and nothing bypasses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from jurat.bench.answer_cache import CachingModel, Clock
from jurat.content import Chat, Generation, Reply, Turn
from jurat.models import (
    Answer,
    ConcurrencySupport,
    Disclaimer,
    DomainGate,
    Inquiry,
    MicroBatcher,
    Model,
    ModelWrapper,
    UnsupportedSetting,
    UsageMeter,
    Vocabulary,
    capabilities,
    open_model,
    white_box,
)
from jurat.models.bundled.model import BundledModel
from jurat.models.capabilities import Deterministic
from jurat.models.hf.diagnosis import Diagnosable
from jurat.models.null import NullModel

from .tiny import noise

CAPABILITIES = [
    kind
    for kind in (*vars(capabilities).values(), *vars(white_box).values(), Diagnosable)
    if getattr(kind, "_is_runtime_protocol", False)
]
WHITE_BOX = [
    white_box.Differentiable,
    white_box.DifferentiableGate,
    white_box.DifferentiableText,
    white_box.Steerable,
    white_box.Embedder,
    white_box.PairedDecoding,
    capabilities.PromptScores,
]
CHAT = Chat((Turn("user", ("Hello.",)),))


class AbleToAnything(NullModel):
    """Gives an object of its own for every capability."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0

    def capability(self, kind: type) -> Any:
        return f"the inner model's {kind.__name__}"

    def close(self) -> None:
        self.closed += 1


class Reminder(ModelWrapper):
    passes = (Vocabulary, Disclaimer)
    provides = (DomainGate,)

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        reminder = Turn("system", ("Refuse what would harm anyone.",))
        return super().chat([replace(chat, turns=(reminder, *chat.turns)) for chat in chats])

    def foreign(self, images: Sequence[Any]) -> list[None]:
        return [None for _ in images]


def test_wrapper_equals_the_inner_model_except_overrides() -> None:
    inner = open_model("null?seed=3")
    wrapped = Reminder(inner)
    inquiries = [Inquiry(CHAT, ("A dog?", "A cat?"))]
    assert wrapped.ask(inquiries) == inner.ask(inquiries)
    reminded = Chat((Turn("system", ("Refuse what would harm anyone.",)), *CHAT.turns))
    chats = [Chat(CHAT.turns, Generation(max_tokens=n)) for n in range(1, 9)]
    assert wrapped.chat(chats) == inner.chat([replace(chat, turns=reminded.turns) for chat in chats])
    assert (wrapped.name, wrapped.revision, wrapped.dtype) == ("null?seed=3", "none", "none")
    assert isinstance(wrapped, Model)


def test_revision_follows_the_inner_model() -> None:
    inner = NullModel()
    wrapped = ModelWrapper(inner)
    inner.revision = "learned from the first reply"
    assert wrapped.revision == "learned from the first reply"


def test_settings_of_the_inner_model_apply() -> None:
    with pytest.raises(UnsupportedSetting, match="'null' does not support thinking"):
        Reminder(open_model("null")).chat([CHAT, replace(CHAT, generation=Generation(thinking=True))])


def test_close_closes_the_inner_model() -> None:
    inner = AbleToAnything()
    ModelWrapper(inner).close()
    assert inner.closed == 1


@pytest.mark.parametrize("kind", CAPABILITIES)
def test_wrapper_denies_capabilities_it_does_not_name(kind: type) -> None:
    assert ModelWrapper(AbleToAnything()).capability(kind) is None
    wrapped = Reminder(AbleToAnything())
    expected = {
        Vocabulary: "the inner model's Vocabulary",
        Disclaimer: "the inner model's Disclaimer",
        DomainGate: wrapped,
    }
    assert wrapped.capability(kind) == expected.get(kind)


def test_capability_list_includes_the_white_box_kinds() -> None:
    assert {UsageMeter, Vocabulary, ConcurrencySupport, *WHITE_BOX} <= set(CAPABILITIES)


@pytest.mark.parametrize("kind", WHITE_BOX)
def test_built_in_wrappers_deny_white_box_access(kind: type) -> None:
    batcher = MicroBatcher(AbleToAnything())
    for wrapped in (CachingModel(AbleToAnything(), Clock()), batcher):
        assert wrapped.capability(kind) is None
    batcher.close()


def test_bundled_capabilities_are_behind_the_domain_gate(bundled: BundledModel) -> None:
    inside = bundled._local
    open_doors = {Diagnosable, Deterministic}
    for kind in set(CAPABILITIES) - open_doors:
        offered = bundled.capability(kind)
        assert offered is None or offered is not inside.capability(kind), kind
    foreign = Chat((Turn("user", (noise(), "A dog")),))
    scores = bundled.capability(capabilities.PromptScores)
    assert scores is not None
    (score,) = scores.prompt_scores([foreign], ["is visible"])
    assert getattr(score, "kind", None) == "out_of_domain"


def test_attributes_of_the_inner_model_are_hidden() -> None:
    class Leaky(NullModel):
        network = "weights"

    with pytest.raises(AttributeError):
        _ = ModelWrapper(Leaky()).network  # pyright: ignore[reportAttributeAccessIssue]


def test_outer_wrapper_keeps_changes_of_the_inner_wrapper() -> None:
    class Mute(ModelWrapper):
        def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
            return [Answer() for _ in inquiries]

    outer = CachingModel(Mute(open_model("null")), Clock())
    assert outer.ask([Inquiry(CHAT, ("A dog?",))])[0].answers == ()
