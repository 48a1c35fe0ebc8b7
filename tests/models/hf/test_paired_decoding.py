"""One reply from two conversations equals a loop of two plain forward passes, in every family and batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from jurat.content import Chat, Generation, Turn, Usage
from jurat.models import ChatPair, PairedDecoding, PairReply, Steerable, open_model
from jurat.models.hf.generation import Decoder
from jurat.models.hf.paired_decoding import _decoded, _Encoded, _read_anew
from jurat.models.hf.prompt import Prompt
from jurat.models.hf.scoring import Scorer

from ..families import FAMILIES, NO, SQUARE, YES, Family
from ..tiny import make_llava, make_tokenizer, picture

STEPS = 4


def amplified(first: Tensor, second: Tensor) -> Tensor:
    return first + 2.0 * (first - second)


def words_amplified(first: Tensor, second: Tensor) -> Tensor:
    """No placeholder of an image may be written: it would have no features."""
    made = amplified(first, second)
    made[:, 50:] = float("-inf")
    return made


def encoded(family: Family) -> list[_Encoded]:
    """Two pairs; of each pair's conversations, one is longer."""
    made: list[_Encoded] = []
    for seed, lengths in ((1, (6, 2)), (2, (3, 4))):
        prompt = family.prompt(seed, lengths, (SQUARE,))
        first, second = (prompt.ending(segment) for segment in prompt.segments)
        pair = ChatPair(Chat(generation=Generation(max_tokens=STEPS)), Chat(), words_amplified)
        made.append(_Encoded(pair, first, second))
    return made


def looped(scorer: Scorer, pair: _Encoded, ends: list[int]) -> list[int]:
    """The tokens of greedy decoding, by two passes over everything for each token."""
    written: list[int] = []

    def logits(prompt: Prompt) -> Tensor:
        return scorer.logits([(prompt, (*prompt.segments[0], *written))])[:, -1].float()

    with torch.inference_mode():
        while len(written) < STEPS and (not written or written[-1] not in ends):
            written.append(int(words_amplified(logits(pair.first), logits(pair.second)).argmax()))
    return written


QUICK = ("llava", "qwen2-vl", "mllama", "lfm2-vl")


@pytest.mark.parametrize(
    "family",
    [each if each.name in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in FAMILIES],
    ids=lambda family: family.name,
)
def test_reply_is_that_of_two_forward_passes_a_token(family: Family) -> None:
    network, tokenizer, pairs = family.network(), make_tokenizer(), encoded(family)
    scorer = Scorer(network, YES, NO)
    decoder = Decoder(network, tokenizer, scorer, None)
    expected = [looped(scorer, pair, decoder.ends) for pair in pairs]
    texts = [tokenizer.decode(each, skip_special_tokens=True) for each in expected]
    with torch.inference_mode():
        assert [reply.text for reply in _decoded(decoder, scorer, pairs)] == texts
        assert [_read_anew(decoder, scorer, pair).text for pair in pairs] == texts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_model(f"hf/{make_llava(tmp_path_factory.mktemp('llava'))}", device="cpu")


def chat(text: str, seed: int | None = 1, **settings: Any) -> Chat:
    images = () if seed is None else (picture(seed),)
    return Chat((Turn("user", (*images, text)),), Generation(**{"max_tokens": 6, **settings}))


def pairs_of(model: Any, *pairs: ChatPair) -> list[PairReply]:
    paired = model.capability(PairedDecoding)
    assert paired is not None
    return paired.chat_pairs(pairs)


def first_alone(first: Tensor, second: Tensor) -> Tensor:
    return first


LONG, SHORT = "Does the baby in the kitchen touch a knife or a dagger ?", "Is a dog visible ?"


@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 1.0, "seed": 3}, {"stop": ("dog",)}, {"max_tokens": 1}], ids=str
)
def test_settings_of_the_first_conversation_hold(model: Any, settings: dict[str, Any]) -> None:
    told = chat(LONG, **settings)
    (made,) = pairs_of(model, ChatPair(told, chat(SHORT), first_alone))
    (plain,) = model.chat([told])
    assert (made.reply.text, made.reply.finish) == (plain.text, plain.finish)
    (other,) = model.chat([chat(SHORT)])
    assert made.added == Usage(input_tokens=other.usage.input_tokens)
    assert made.usage == plain.usage + made.added


def test_batch_equals_singles_and_failures_stay_with_their_pair(model: Any) -> None:
    def fails(first: Tensor, second: Tensor) -> Tensor:
        return first[:, :3]

    pairs = [
        ChatPair(chat(LONG), chat(SHORT), amplified),
        ChatPair(chat(LONG, max_tokens=0), chat(SHORT), amplified),
        ChatPair(chat(SHORT, None), chat(LONG, None), amplified),
        ChatPair(chat(LONG, 2), chat(SHORT, 2), fails),
        ChatPair(chat(SHORT, 3), chat(LONG, 3), amplified),
    ]
    made = pairs_of(model, *pairs)
    assert [each.reply.failure is None for each in made] == [True, False, True, False, True]
    assert made == [pairs_of(model, pair)[0] for pair in pairs]
    assert made[1].reply.failure is not None and "max_tokens is 0" in made[1].reply.failure.reason
    assert made[3].reply.failure is not None and "Logits [1, 3]" in made[3].reply.failure.reason


def test_hooks_of_the_same_thread_act_on_both_conversations(model: Any) -> None:
    steer = model.capability(Steerable)
    pair = ChatPair(chat(LONG), chat(SHORT), amplified)
    with steer.hooks({steer.layers()[0]: lambda hidden: hidden / 2}):
        (inside,) = pairs_of(model, pair)
        first, second = steer.forward([pair.first, pair.second])
        expected = int(amplified(first, second).argmax())
    begun = model.encoder.tokenizer.decode([expected], skip_special_tokens=True)
    assert inside.reply.text.startswith(begun.strip())


def test_is_not_given_for_a_model_that_cannot_chat(tmp_path: Path) -> None:
    model = open_model(f"hf/{make_llava(tmp_path / 'llava')}", device="cpu")
    model.unable["conversations"] = "no reason"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Exception, match="cannot take conversations: no reason"):
        pairs_of(model, ChatPair(chat(LONG), chat(SHORT), amplified))
