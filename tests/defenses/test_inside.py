"""Defenses that act inside a local model: on its logits and on its activations."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from jurat.content import Chat, Generation, Turn
from jurat.defenses import DefendedModel, defend, open_defense
from jurat.defenses.methods.coca import Coca
from jurat.errors import JuratError
from jurat.models import Defended, DefenseCost, Inquiry, Model, Steerable, YesNo, open_model
from jurat.models.null import NullModel

from ..models.test_wrapper import CAPABILITIES
from ..models.tiny import make_llava, picture


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_model(f"hf/{make_llava(tmp_path_factory.mktemp('llava'))}", device="cpu")


def chat(text: str, seed: int | None = 1, **settings: Any) -> Chat:
    images = () if seed is None else (picture(seed),)
    return Chat((Turn("user", (*images, text)),), Generation(**{"max_tokens": 5, **settings}))


def cost(model: Model) -> DefenseCost:
    found = model.capability(Defended)
    assert found is not None
    return found.defenses[0]


# --- CoCA -----------------------------------------------------------------------------------------

PRINCIPLE = "coca?text=Nothing+but+a+dog+may+be+shown"
CHATS = [chat("Is a dog visible ?"), chat("What is it ?", 2), chat("Does the baby touch a knife ?", None)]


def texts(model: Model, *chats: Chat) -> list[str]:
    return [reply.text for reply in model.chat(chats or CHATS)]


def test_alpha_zero_is_the_principle_alone_and_minus_one_the_model_without_it(llava: Any) -> None:
    prompted = defend(llava, ["system-prompt?text=Nothing+but+a+dog+may+be+shown"])
    assert texts(prompted) != texts(llava)
    assert texts(defend(llava, [f"{PRINCIPLE}&alpha=0"])) == texts(prompted)
    assert texts(defend(llava, [f"{PRINCIPLE}&alpha=-1&plausible=0"])) == texts(llava)


@pytest.mark.parametrize("plausible", [0.0, 0.1, 1.0])
def test_first_token_is_that_of_the_formula(llava: Any, plausible: float) -> None:
    """Golden: two plain forward passes, and the formula written out."""
    steer = llava.capability(Steerable)
    defense = open_defense(f"{PRINCIPLE}&alpha=3&plausible={plausible}")
    for each in CHATS:
        told, plain = steer.forward([defense.shown(each), each])
        golden = 4 * told - 3 * plain
        golden[told.softmax(-1) < plausible * told.softmax(-1).max()] = float("-inf")
        word = llava.encoder.tokenizer.decode([int(golden.argmax())], skip_special_tokens=True)
        (reply,) = defend(llava, [defense]).chat([Chat(each.turns, Generation(max_tokens=1))])
        assert reply.text == word


def test_combined_logits_equal_the_formula() -> None:
    told, plain = torch.tensor([[2.0, 1.0, -9.0, -torch.inf]]), torch.tensor([[1.0, 3.0, -9.0, -torch.inf]])
    free = Coca(alpha=2.0, plausible=0.0).combine(told, plain)
    assert free.tolist() == [[4.0, -3.0, -9.0, -torch.inf]]
    assert Coca(alpha=2.0, plausible=0.5).combine(told, plain).isfinite().tolist() == [
        [True, False, False, False]
    ]
    assert Coca().combine(told * torch.nan, plain).isnan().all()


def test_closed_questions_have_calibrated_odds(llava: Any) -> None:
    asked = Inquiry(CHATS[0], ("Is a cat visible ?", "Is a child visible ?"))
    told = defend(llava, ["system-prompt?text=Nothing+but+a+dog+may+be+shown"]).ask([asked])[0].answers
    plain = llava.ask([asked])[0].answers
    model = defend(llava, [f"{PRINCIPLE}&alpha=2"])
    for made, one, other in zip(model.ask([asked])[0].answers, told, plain, strict=True):
        assert made.log_odds == pytest.approx(3 * one.log_odds - 2 * other.log_odds, abs=1e-4)
        assert made.mass == pytest.approx(one.mass)
    assert Coca(alpha=0.0)._answer(YesNo(0.6, 0.3), YesNo(0.1, 0.2)).yes == pytest.approx(0.6)
    assert (cost(model).items, cost(model).calls) == (1, 1)


def test_batch_equals_singles_and_both_readings_are_counted(llava: Any) -> None:
    model = defend(llava, [PRINCIPLE])
    bad = chat("What ?", None, max_tokens=0)
    together = model.chat([*CHATS, bad])
    assert together[3].failure is not None and "max_tokens is 0" in together[3].failure.reason
    found = cost(model)
    assert together == [model.chat([each])[0] for each in (*CHATS, bad)]
    assert (found.items, found.calls, found.blocked, found.checks) == (4, 4, 0, 0)
    plain = sum(each.usage.input_tokens for each in llava.chat(CHATS))
    assert found.usage.input_tokens == plain and found.usage.output_tokens == 0


def test_is_refused_over_another_defense_and_for_models_of_services(llava: Any) -> None:
    with pytest.raises(JuratError, match="The defense 'coca' needs a model with PairedDecoding, not 'null'"):
        defend(NullModel(), ["coca"])
    with pytest.raises(JuratError, match="name this one last, so that it is the closest to the model"):
        defend(llava, [PRINCIPLE, "jpeg"])
    assert isinstance(defend(llava, ["jpeg", PRINCIPLE]), DefendedModel)
