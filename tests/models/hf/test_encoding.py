"""Conversations and questions as token prefixes and segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jurat.content import Chat, Turn
from jurat.models import Inquiry, ModelError
from jurat.models.hf.encoding import answer_ids, common_length
from jurat.models.hf.model import LocalModel

from ..tiny import make_tokenizer, picture

INSTRUCTION = "Is the following statement true of this image? Answer with Yes or No."
QUESTIONS = (
    "Statement: A child is visible.",
    "Statement: A dog is visible.",
    "Statement: A child touches a kitchen knife.",
)
IMAGE = Image.new("RGB", (8, 8))


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=5))
def test_common_length_is_the_longest_shared_prefix(rows: list[list[int]]) -> None:
    length = common_length(rows)
    assert all(row[:length] == rows[0][:length] for row in rows)
    assert any(len(row) == length for row in rows) or len({row[length] for row in rows}) > 1


@pytest.mark.parametrize("images", [0, 1, 2])
def test_prefix_and_segment_equal_the_processor_output(llava: LocalModel, images: int) -> None:
    chat = Chat(
        (Turn("system", ("Answer",)), Turn("user", (*[picture(i) for i in range(images)], INSTRUCTION)))
    )
    (prompt,) = llava.encoder.encode(Inquiry(chat, QUESTIONS))
    for question, segment in zip(QUESTIONS, prompt.segments, strict=True):
        text = llava.encoder.render(chat, question)
        pictures = {"images": list(chat.images)} if images else {}
        whole = llava.encoder.processor(text=text, add_special_tokens=False, return_tensors="pt", **pictures)
        assert [*prompt.prefix.tolist(), *segment] == whole["input_ids"][0].tolist()
    words = llava.encoder.tokenizer.convert_ids_to_tokens(prompt.prefix.tolist())
    assert words[0] == "<s>" and words[1] != "<s>"
    assert words.count("<image>") == 4 * images
    assert words[-3:] == ["Statement", ":", "A"], "what all questions begin with belongs to the prefix"


def test_question_segments_are_shared_between_items(llava: LocalModel) -> None:
    first, second = (
        llava.encoder.encode(Inquiry(Chat((Turn("user", (picture(seed), INSTRUCTION)),)), QUESTIONS))[0]
        for seed in (1, 2)
    )
    assert first.segments is second.segments
    assert not first.images["pixel_values"].equal(second.images["pixel_values"])


def test_single_and_equal_questions_keep_one_segment_token(llava: LocalModel) -> None:
    chat = Chat((Turn("user", (IMAGE, INSTRUCTION)),))
    for questions in (QUESTIONS[:1], QUESTIONS[:1] * 2):
        (prompt,) = llava.encoder.encode(Inquiry(chat, questions))
        assert [len(segment) for segment in prompt.segments] == [1] * len(questions)


def test_image_after_the_question_shares_no_prefix(llava: LocalModel) -> None:
    """A template may put the images last; then there is nothing to share, and it still works."""
    template = llava.encoder.processor.chat_template
    last = (
        "<s>USER:{% for part in messages[0]['content'] %}"
        "{{ ' ' + part['text'] if part['type'] == 'text' else '' }}"
        "{% endfor %} <image> ASSISTANT:"
    )
    from jurat.models.hf.encoding import Encoder

    llava.encoder.processor.chat_template = last
    try:
        encoder = Encoder(llava.encoder.processor, frozenset({"pixel_values"}))
        prompts = encoder.encode(Inquiry(Chat((Turn("user", (IMAGE, INSTRUCTION)),)), QUESTIONS))
    finally:
        llava.encoder.processor.chat_template = template
    assert [len(prompt.segments) for prompt in prompts] == [1, 1, 1]
    assert len(llava.scorer.score(prompts)) == 3


def test_no_questions_give_no_prompts(llava: LocalModel) -> None:
    assert llava.encoder.encode(Inquiry(Chat(), ())) == []


def test_answer_tokens_cover_every_spelling() -> None:
    tokenizer = make_tokenizer()
    found = answer_ids(tokenizer)
    assert tokenizer.convert_ids_to_tokens(found["yes"]) == ["Yes", "yes"]
    assert tokenizer.convert_ids_to_tokens(found["no"]) == ["No"]


def test_vocabulary_without_no_is_refused() -> None:
    class OnlyYes:
        def get_vocab(self) -> dict[str, int]:
            return {"▁Yes": 3, "ĠYes": 4, "No,": 5}

    with pytest.raises(ModelError, match="no single token for no"):
        answer_ids(OnlyYes())
