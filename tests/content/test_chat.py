"""Questions in conversations, and what a reply continues."""

from __future__ import annotations

import pytest
from PIL import Image

from jurat.content import Chat, Turn
from jurat.content.chat import ask_in

IMAGE = Image.new("RGB", (8, 8))


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ((), (Turn("user", ("Q",)),)),
        ((Turn("user", (IMAGE, "I")),), (Turn("user", (IMAGE, "I\nQ")),)),
        ((Turn("user", ("I", IMAGE)),), (Turn("user", ("I", IMAGE, "Q")),)),
        ((Turn("user", (IMAGE,)),), (Turn("user", (IMAGE, "Q")),)),
        ((Turn("user", ()),), (Turn("user", ("Q",)),)),
        ((Turn("system", ("S",)),), (Turn("system", ("S",)), Turn("user", ("Q",)))),
        (
            (Turn("user", ("I",)), Turn("assistant", ("A",))),
            (Turn("user", ("I",)), Turn("assistant", ("A",)), Turn("user", ("Q",))),
        ),
    ],
)
def test_question_continues_the_last_user_turn(turns: tuple[Turn, ...], expected: tuple[Turn, ...]) -> None:
    assert ask_in(turns, "Q") == expected


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ((), None),
        ((Turn("user", ("I",)),), None),
        ((Turn("assistant", ("A",)), Turn("user", ("I",))), None),
        ((Turn("user", ("I",)), Turn("assistant", ())), None),
        ((Turn("user", ("I",)), Turn("assistant", ("",))), None),
        ((Turn("user", ("I",)), Turn("assistant", ("A ",))), "A "),
        ((Turn("user", ("I",)), Turn("assistant", ("A", "B"))), "A\nB"),
    ],
)
def test_last_assistant_turn_with_text_is_continued(turns: tuple[Turn, ...], expected: str | None) -> None:
    assert Chat(turns).prefilled_text == expected
