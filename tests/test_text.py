"""Text from outside, made fit to be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.text import counted, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a plain name.png", "a plain name.png"),
        ("naïve 画像 🦊", "naïve 画像 🦊"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines\r", r"two\nlines\r"),
        ("png.\u202etxt", r"png.\u202etxt"),
        ("\udcff.png", r"\udcff.png"),
    ],
)
def test_what_could_move_a_cursor_is_written_as_an_escape(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_whatever_comes_is_printable_and_can_be_written_as_utf_8(text):
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")
    assert printable(shown) == shown


def test_what_is_counted_agrees_with_its_number():
    assert [counted(n, "verdict") for n in (0, 1, 1024)] == ["0 verdicts", "1 verdict", "1,024 verdicts"]
    assert [counted(n, "more is", "more are") for n in (1, 2)] == ["1 more is", "2 more are"]
