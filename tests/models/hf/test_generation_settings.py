"""Decoding settings equal those of `generate` in transformers, per conversation."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import TopPLogitsWarper

from jurat.content import Chat, Generation, Turn
from jurat.models import UnsupportedSetting, open_model
from jurat.models.hf.model import LocalModel

from .. import tiny
from ..tiny import picture

INSTRUCTION = "Is the following statement true of this image? Answer with Yes or No."
ASSISTANT = "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
OPENS = tiny.TEMPLATE.replace(ASSISTANT, "{% if add_generation_prompt %}ASSISTANT: <think>{% endif %}")
SWITCHED = tiny.TEMPLATE.replace(
    ASSISTANT,
    "{% if add_generation_prompt %}ASSISTANT:{% if enable_thinking %} <think>"
    "{% else %} <think> </think>{% endif %}{% endif %}",
)
LEAVES_IT_OPEN = tiny.TEMPLATE.replace(  # and to the model to open the block
    ASSISTANT,
    "{% if add_generation_prompt %}ASSISTANT:{% if not enable_thinking %} <think> </think>{% endif %}"
    "{% endif %}",
)


def about(number: int, **settings: Any) -> Chat:
    return Chat((Turn("user", (picture(number), INSTRUCTION)),), Generation(**settings))


def generated(model: LocalModel, chat: Chat, **settings: Any) -> str:
    """What transformers' own `generate` makes of a conversation."""
    prompt = model.encoder.encode_chat(chat)
    ids = torch.cat([prompt.prefix, torch.tensor(prompt.segments[0])])[None]
    made = model.network.generate(input_ids=ids, **prompt.images, **settings)
    return model.encoder.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("number", range(4))
def test_greedy_replies_equal_transformers(number: int, llava: LocalModel) -> None:
    chat = about(number, max_tokens=12)
    (reply,) = llava.chat([chat])
    assert reply.text == generated(llava, chat, max_new_tokens=12, do_sample=False)
    (drawn,) = llava.chat([about(number, max_tokens=12, temperature=2.0, top_p=1e-6)])
    assert drawn == reply, "of so small a nucleus only the likeliest token is drawn"


def test_stop_text_ends_the_reply_where_transformers_does(llava: LocalModel) -> None:
    words = copy.deepcopy(llava.encoder.tokenizer)
    words.add_tokens(["abcdef"])  # which that of transformers must be able to write
    greedy = llava.chat([about(number, max_tokens=12) for number in range(12)])
    long = [(number, reply.text) for number, reply in enumerate(greedy) if len(reply.text.split()) > 3]
    assert len(long) > 3
    for number, free in long:
        stop = free.split()[len(free.split()) // 2]
        chat = about(number, max_tokens=12, stop=("no such text", stop))
        (reply,) = llava.chat([chat])
        theirs = generated(
            llava, chat, max_new_tokens=12, do_sample=False, stop_strings=[stop], tokenizer=words
        )
        assert theirs.endswith(stop)
        assert reply.text == theirs.partition(stop)[0].strip() == free.partition(stop)[0].strip()
        assert (reply.finish, reply.usage.output_tokens) == ("stop", len(theirs.split()))


def test_stop_text_may_span_tokens_and_be_the_last_token(llava: LocalModel) -> None:
    (free,) = llava.chat([about(1, max_tokens=6)])
    words = free.text.split()
    assert free.finish == "length" and len(words) == 6
    for stop, kept in ((" ".join(words[1:3]), words[:1]), (words[5], words[: words.index(words[5])])):
        (reply,) = llava.chat([about(1, max_tokens=6, stop=(stop,))])
        assert (reply.text, reply.finish) == (" ".join(kept), "stop")


def test_top_p_samples_follow_the_nucleus_distribution(llava: LocalModel) -> None:
    temperature, top_p, n = 4.0, 0.4, 400
    prompt = llava.encoder.encode_chat(about(1))
    ids = torch.cat([prompt.prefix, torch.tensor(prompt.segments[0])])[None]
    with torch.inference_mode():
        scores = llava.network(input_ids=ids, **prompt.images).logits[:, -1] / temperature
    chances = TopPLogitsWarper(top_p)(ids, scores)[0].softmax(-1)
    tokens = llava.encoder.tokenizer.convert_ids_to_tokens(list(range(len(chances))))
    texts = [
        reply.text
        for reply in llava.chat(
            [about(1, max_tokens=1, temperature=temperature, top_p=top_p, seed=seed) for seed in range(n)]
        )
    ]
    nucleus = [i for i in chances.nonzero().flatten().tolist() if not tokens[i].startswith("<")]
    assert 3 < len(nucleus) < len(tokens) / 2
    assert {text for text in texts if text} <= {tokens[i] for i in nucleus}
    likely = sorted(nucleus, key=lambda i: -chances[i])[:8]
    expected = [n * float(chances[i]) for i in likely]
    counts = [texts.count(tokens[i]) for i in likely]
    assert sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True)) < 27


def test_settings_apply_per_conversation(llava: LocalModel) -> None:
    free = llava.chat([about(2, max_tokens=9)])[0].text.split()
    chats = [
        about(1, max_tokens=9),
        about(2, max_tokens=9, stop=(free[3],)),
        about(1, max_tokens=5, temperature=2.0, top_p=0.5, seed=3),
        about(2, max_tokens=7, temperature=2.0, seed=3, stop=("Yes", "dog")),
        about(3, max_tokens=3, top_p=0.1),
    ]
    together = llava.chat(chats)
    assert together == [llava.chat([chat])[0] for chat in chats]
    assert {reply.finish for reply in together} == {"stop", "length"}


# --- thinking ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LocalModel]:
    """Opens a tiny LLaVA that knows the marks of a thinking block, with a chat template."""
    plain = tiny.make_tokenizer

    def marked() -> Any:
        tokenizer = plain()
        tokenizer.add_tokens(["<think>", "</think>"])
        return tokenizer

    folder = tmp_path_factory.mktemp("thinking")
    tiny.make_tokenizer = marked
    try:
        tiny.make_llava(folder / "made")
    finally:
        tiny.make_tokenizer = plain
    opened: dict[str, Any] = {}

    def model(template: str) -> LocalModel:
        if template not in opened:
            own = shutil.copytree(folder / "made", folder / str(len(opened)))
            (own / "chat_template.jinja").write_text(template)
            opened[template] = open_model(f"hf/{own}", device="cpu")
        return opened[template]

    return model


def forcing(model: LocalModel, text: str) -> Any:
    """A logits processor that has the model write a text."""
    ids = model.encoder.tokenizer(f"{text} </s>", add_special_tokens=False)["input_ids"]
    begun: list[int] = []

    def processor(given: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        begun[:] = begun or [given.shape[1]]
        forced = torch.full_like(scores, float("-inf"))
        forced[:, ids[min(given.shape[1] - begun[0], len(ids) - 1)]] = 0.0
        return forced

    return processor


def test_thinking_is_removed_from_the_reply(thinking: Callable[[str], LocalModel]) -> None:
    for template, said in (
        (OPENS, "A dog </think> Yes ."),
        (SWITCHED, "A dog </think> Yes ."),
        (LEAVES_IT_OPEN, "<think> A dog </think> Yes ."),
        (LEAVES_IT_OPEN, "Yes ."),  # it may answer without a thought
    ):
        model = thinking(template)
        chat = about(1, thinking=True, logits_processors=(forcing(model, said),))
        (reply,) = model.chat([chat])
        assert (reply.text, reply.finish) == ("Yes .", "stop")
        stopped = replace(
            chat,
            generation=replace(chat.generation, stop=("dog", "."), logits_processors=(forcing(model, said),)),
        )
        assert model.chat([stopped])[0].text == "Yes", "a stop text counts in what is said, not in thoughts"


def test_reply_cut_off_while_thinking_is_empty(
    thinking: Callable[[str], LocalModel],
) -> None:
    model = thinking(OPENS)
    processors = (forcing(model, "A dog is a dog </think> Yes ."),)
    (reply,) = model.chat([about(1, thinking=True, max_tokens=3, logits_processors=processors)])
    assert (reply.text, reply.finish, reply.failure) == ("", "length", None)


def test_thinking_block_is_closed_when_off(thinking: Callable[[str], LocalModel]) -> None:
    for template in (OPENS, SWITCHED, LEAVES_IT_OPEN):
        encoder = thinking(template).encoder
        assert encoder.render(about(1)).rstrip().endswith("</think>")
        assert encoder.render(about(1), "A dog is visible.").rstrip().endswith("</think>")
        thinks = encoder.render(about(1, thinking=True)).rstrip()
        assert thinks.endswith("ASSISTANT:" if template == LEAVES_IT_OPEN else "<think>")


def test_thinking_applies_per_conversation(thinking: Callable[[str], LocalModel]) -> None:
    model = thinking(SWITCHED)
    chats = [about(n, max_tokens=4 + n, thinking=n % 2 == 0) for n in range(4)]
    chats.append(replace(chats[0], turns=(*chats[0].turns, Turn("assistant", ("Yes",)))))
    together = model.chat(chats)
    assert together == [model.chat([chat])[0] for chat in chats]
    assert together[-1].text, "a prefilled reply is continued"


def test_thinking_is_refused_without_template_support(llava: LocalModel) -> None:
    assert "thinking" not in llava.supported_settings
    with pytest.raises(UnsupportedSetting, match="does not support thinking"):
        llava.chat([about(1, thinking=True)])
