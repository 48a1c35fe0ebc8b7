"""`printable` and `counted`: untrusted text made safe for a terminal, and counts with their noun."""

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
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_printable_accepts_any_text(text):
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")
    assert printable(shown) == shown


def test_counted_noun_agrees_with_the_number():
    assert [counted(n, "verdict") for n in (0, 1, 1024)] == ["0 verdicts", "1 verdict", "1,024 verdicts"]
    assert [counted(n, "more is", "more are") for n in (1, 2)] == ["1 more is", "2 more are"]
