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


def test_text_alone_is_no_tuple_of_parts() -> None:
    for parts in ("Hello.", IMAGE):
        with pytest.raises(TypeError, match=r"also of one: Turn\(\"user\", \(part,\)\)"):
            Turn("user", parts)  # pyright: ignore[reportArgumentType]
    assert Turn("user", ["a", "b"]) == Turn("user", ("a", "b"))  # pyright: ignore[reportArgumentType]


def test_unknown_role_of_a_turn_is_refused() -> None:
    with pytest.raises(ValueError, match="one of system, user, assistant, not 'tool'"):
        Turn("tool", ("Hello.",))  # pyright: ignore[reportArgumentType]
