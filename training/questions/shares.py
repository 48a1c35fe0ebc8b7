"""The table of kinds and forms of questions, with their shares."""

from __future__ import annotations

MOST_ASKED = 5
"""The largest number in a question."""

KINDS: dict[str, float] = {
    "visible": 0.7,
    "group": 0.6,
    "any of": 0.7,
    "sign": 0.8,
    "count": 5.0,
    "relation": 2.6,
    "touch": 4.4,
    "group touch": 1.8,
    "larger": 1.6,
    "only": 1.4,
    "with": 0.8,
    "not visible": 1.2,
    "not touch": 1.6,
    "not relation": 0.9,
    "whole rule": 2.6,
}
"""Kinds of question, with how often training asks them."""

FIRST_ABSENT, OTHER_ABSENT, BOTH_ABSENT = "first absent", "other absent", "both absent"
"""Forms of relations, by which of the two things is not in the image."""

SHARES: dict[str, dict[str, tuple[float, float]]] = {
    "visible": {"there": (1, 0), "look-alike": (0, 0.6), "absent": (0, 0.4)},
    "group": {"there": (1, 0), "absent": (0, 1)},
    "any of": {"there": (1, 0), "absent": (0, 1)},
    "sign": {"there": (1, 0), "other word": (0, 0.8), "absent": (0, 0.2)},
    "count": {
        "exactly": (0.22, 0.20),
        "exactly, of many": (0.14, 0.14),
        "at least": (0.20, 0.16),
        "look-alikes": (0.16, 0.16),
        "absent": (0.06, 0.12),
        "only": (0.05, 0.05),
        "more than": (0.06, 0.06),
        "or more": (0.05, 0.05),
        "fewer than": (0.06, 0.06),
    },
    "relation": {
        "there": (1, 0.70),
        FIRST_ABSENT: (0, 0.12),
        OTHER_ABSENT: (0, 0.12),
        BOTH_ABSENT: (0, 0.06),
    },
    "touch": {
        "there": (0.62, 0.08),
        "near miss": (0, 0.42),
        FIRST_ABSENT: (0, 0.06),
        OTHER_ABSENT: (0, 0.06),
        BOTH_ABSENT: (0, 0.04),
        "list": (0.14, 0.12),
        "list, some absent": (0.24, 0.14),
        "list, all absent": (0, 0.05),
        "list, first absent": (0, 0.03),
    },
    "group touch": {
        "there": (1, 0.24),
        "near miss": (0, 0.54),
        FIRST_ABSENT: (0, 0.08),
        OTHER_ABSENT: (0, 0.08),
        BOTH_ABSENT: (0, 0.06),
    },
    "larger": {"there": (1, 0.58), FIRST_ABSENT: (0, 0.16), OTHER_ABSENT: (0, 0.16), BOTH_ABSENT: (0, 0.10)},
    "only": {"there": (1, 0.30), "stranger": (0, 0.50), "absent": (0, 0.20)},
    "with": {
        "there": (0.8, 0.12),
        "near miss": (0, 0.46),
        FIRST_ABSENT: (0, 0.08),
        OTHER_ABSENT: (0, 0.10),
        BOTH_ABSENT: (0, 0.04),
        "list, some absent": (0.2, 0.2),
    },
    "not visible": {
        "there": (0, 0.50),
        "look-alike": (0.30, 0),
        "absent": (0.20, 0),
        "group": (0.15, 0.15),
        "neither": (0.25, 0.25),
        "sign": (0.10, 0.10),
    },
    "not touch": {
        "there": (0.12, 0.84),
        "near miss": (0.46, 0),
        FIRST_ABSENT: (0.08, 0),
        OTHER_ABSENT: (0.10, 0),
        BOTH_ABSENT: (0.04, 0),
        "list": (0.08, 0.04),
        "list, some absent": (0.12, 0.12),
    },
    "not relation": {
        "there": (0.76, 1),
        FIRST_ABSENT: (0.09, 0),
        OTHER_ABSENT: (0.09, 0),
        BOTH_ABSENT: (0.06, 0),
    },
    "whole rule": {
        "touch": (0.60, 0.44),
        "group touch": (0.25, 0.20),
        "together": (0.15, 0.15),
        "absent": (0, 0.21),
    },
}
"""Kind -> form -> its share of the true questions of that kind, and of the false ones. "there" is a form
with all that it names in the picture; "list" is "touches A, B or C"."""


def forms(kind: str, truth: bool) -> list[str]:
    """The forms of a kind that can have this truth."""
    return [form for form, shares in SHARES[kind].items() if shares[not truth]]
