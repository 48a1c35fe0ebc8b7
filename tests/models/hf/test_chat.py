"""`chat` of a local model: settings per conversation, isolated failures, continued assistant turns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from jurat.content import Chat, Generation, Turn
from jurat.models import Inquiry
from jurat.models.hf.load_model import LoadedModel
from jurat.models.hf.model import LocalModel
from jurat.models.hf.row_settings import ReplyReader, RowSettings

from ..tiny import picture

INSTRUCTION = "Is the following statement true of this image? Answer with Yes or No."


def about(number: int, **settings: Any) -> Chat:
    return Chat((Turn("user", (picture(number), INSTRUCTION)),), Generation(**settings))


def said(chat: Chat, text: str) -> Chat:
    return replace(chat, turns=(*chat.turns, Turn("assistant", (text,))))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_tokens": 0}, "max_tokens is 0; it is a whole number from 1."),
        ({"max_tokens": -3}, "max_tokens is -3"),
        ({"max_tokens": 2.5}, "max_tokens is 2.5"),
        ({"max_tokens": True}, "max_tokens is True"),
        ({"temperature": -1.0}, "temperature is -1.0; it is a number from 0."),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"temperature": "hot"}, "temperature is 'hot'"),
        ({"seed": 2**70}, f"seed is {2**70}; it is a whole number of 64 bits, or None."),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"logits_processors": (3,)}, "logits_processors holds what cannot be called"),
    ],
)
def test_invalid_setting_fails_only_its_conversation(
    settings: dict[str, Any], reason: str, llava: LocalModel
) -> None:
    good = about(1, max_tokens=3)
    before, bad, after = llava.chat([good, about(2, **{"max_tokens": 3, **settings}), good])
    assert before == after == llava.chat([good])[0]
    assert before.failure is None and before.text
    assert bad.failure is not None and bad.failure.kind == "error" and not bad.text
    assert reason in bad.failure.reason


def raising(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    raise KeyError("no such token")


def late(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    if ids[0, -1] == late_token:
        raise RuntimeError("it cannot go on")
    forced = torch.full_like(scores, float("-inf"))
    forced[:, late_token] = 0.0
    return forced


late_token = 7


def in_place(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    scores.fill_(float("nan"))
    ids.fill_(3)
    return scores


@pytest.mark.parametrize(
    ("processor", "reason"),
    [
        (raising, "A logits processor failed: KeyError: 'no such token'"),
        (late, "A logits processor failed: RuntimeError: it cannot go on"),
        (in_place, "it left no token that could follow"),
        (lambda ids, scores: scores.fill_(float("-inf")), "it left no token that could follow"),
        (lambda ids, scores: None, "it gave back NoneType in the place of scores"),
        (lambda ids, scores: scores[:, :3], "it gave back Tensor in the place of scores"),
    ],
)
def test_failing_logits_processor_fails_only_its_conversation(
    processor: Any, reason: str, llava: LocalModel
) -> None:
    good = [about(1, max_tokens=6), about(3, max_tokens=4, temperature=1.0, seed=5)]
    bad = about(2, max_tokens=5, logits_processors=(processor,))
    first, failed, last = llava.chat([good[0], bad, good[1]])
    assert [first, last] == [llava.chat([chat])[0] for chat in good]
    assert failed.failure is not None and failed.failure.kind == "error" and not failed.text
    assert reason in failed.failure.reason
    assert failed.usage.input_tokens > 10


def test_nan_logits_fail_only_their_conversation(llava: LocalModel) -> None:
    chats = [about(seed, max_tokens=4) for seed in range(3)]
    expected = [llava.chat([chat])[0] for chat in chats]
    prompts = [llava.encoder.encode_chat(chat) for chat in chats]
    prompts[1].images["pixel_values"].fill_(float("nan"))
    first, infinite, last = llava._decoded(prompts, [chat.generation for chat in chats])
    assert [one.text.strip() for one in (first, last)] == [expected[0].text, expected[2].text]
    assert infinite.failure is not None and infinite.failure.reason == "The model's logits are not finite."


class EndsAtOnce:
    """A logits processor that ends the reply, and fails if it is called afterwards, as grammars do."""

    def __init__(self, ends: int) -> None:
        self._ends, self.calls = ends, 0

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("the reply has ended")
        forced = torch.full_like(scores, float("-inf"))
        forced[:, self._ends] = 0.0
        return forced


def test_logits_processor_is_not_called_after_the_end(llava: LocalModel) -> None:
    def ended() -> Chat:
        return about(1, max_tokens=5, logits_processors=(EndsAtOnce(llava.encoder.tokenizer.eos_token_id),))

    together = llava.chat([ended(), about(3, max_tokens=8)])
    assert together[1].usage.output_tokens > 1
    assert together == [llava.chat([chat])[0] for chat in (ended(), about(3, max_tokens=8))]
    assert (together[0].failure, together[0].finish) == (None, "stop")


def test_logits_after_the_end_do_not_matter(llava: LocalModel) -> None:
    reader = ReplyReader(llava.encoder.tokenizer, None)
    rows = RowSettings([Generation(max_tokens=n) for n in (2, 9, 9)], 1, [7], reader)
    sound, broken = torch.zeros(3, 9), torch.full((3, 9), float("nan"))
    rows(torch.tensor([[7], [7], [7]]), sound)
    rows(torch.tensor([[7, 1], [7, 7], [7, 1]]), sound)
    rows(torch.tensor([[7, 1, 1], [7, 7, 0], [7, 1, 1]]), broken)
    assert set(rows.over) == {2}, "the first has all its tokens, the second ended"


@pytest.mark.parametrize("words", [1, 2, 3])
def test_prefilled_assistant_turn_is_continued(words: int, llava: LocalModel) -> None:
    every = llava.chat([about(number, max_tokens=6) for number in range(20)])
    number, reply = next((i, one.text) for i, one in enumerate(every) if len(one.text.split()) > 3)
    free = about(number, max_tokens=6)
    begun, rest = " ".join(reply.split()[:words]), " ".join(reply.split()[words:])
    going_on = replace(said(free, begun), generation=Generation(max_tokens=6 - words))
    assert llava.encoder.render(going_on) == f"{llava.encoder.render(free)} {begun}"
    (continued,) = llava.chat([going_on])
    assert continued.text.split() == rest.split(), "what follows, and not what was said"
    together = llava.chat([free, going_on, said(about(5, max_tokens=3), "A dog")])
    assert together[0].text == reply and together[1] == continued


def test_empty_assistant_turn_starts_an_answer(llava: LocalModel) -> None:
    free = about(4, max_tokens=4)
    empty = replace(free, turns=(*free.turns, Turn("assistant", ())))
    assert llava.chat([empty, said(free, "")]) == llava.chat([free, free])


def test_question_after_an_assistant_turn_is_a_new_turn(llava: LocalModel) -> None:
    chat = said(about(4), "A dog is visible.")
    text = llava.encoder.render(chat, "Statement: A child is visible.")
    assert text.endswith("A dog is visible.</s> USER: Statement: A child is visible. ASSISTANT:")
    assert llava.ask([Inquiry(chat, ("Statement: A child is visible.",))])[0].failure is None


class Choosy:
    """A network that fails at one image, which it knows by its brightness."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self._hook = network.model.vision_tower.register_forward_pre_hook(self._look, with_kwargs=True)

    def _look(self, module: Any, args: Any, kwargs: Any) -> None:
        pixels = next(one for one in (*args, *kwargs.values()) if torch.is_tensor(one))
        if bool((pixels.flatten(1).mean(1) > 5).any()):
            raise ValueError("an image that is too bright")

    def remove(self) -> None:
        self._hook.remove()


def test_network_error_fails_only_its_item(llava: LocalModel) -> None:
    model = LocalModel(
        LoadedModel(llava.network, llava.encoder.processor, "0" * 12, "float32"), name="choosy"
    )
    inner = model.encoder._inputs

    def bright(made: Any) -> Any:
        ids, along, images = inner(made)
        bad = images and images["pixel_values"].mean() > marked - 1e-4
        return ids, along, {k: v + 10 for k, v in images.items()} if bad else images

    means = {
        seed: float(llava.encoder.encode_chat(about(seed)).images["pixel_values"].mean()) for seed in range(4)
    }
    marked = max(means.values())
    worst = max(means, key=lambda seed: means[seed])
    model.encoder._inputs = bright
    choosy = Choosy(llava.network)
    try:
        chats = [about(seed, max_tokens=3) for seed in range(4)]
        replies = model.chat(chats)
        answers = model.ask([Inquiry(chat, ("Statement: A dog is visible.",) * 2) for chat in chats])
    finally:
        choosy.remove()
    for found in (replies, answers):
        assert [one.failure is not None for one in found] == [seed == worst for seed in range(4)]
        failure = found[worst].failure
        assert failure is not None and "ValueError: an image that is too bright" in failure.reason
    assert model.scorer.path == "packed" and not model.scorer.apart
