"""Templates of sentences that forbid something, as data.

The last of each list (a sixth of it, at least one) is held out of training.

Slots: {a} "a beer or a cocktail", {n} "beer or cocktail", {p} "beers or cocktails" are those first named,
{r} is "beers and cocktails", {nor} "a beer nor a cocktail"; {b}, {m}, {q} are the others; {k} "at least two
dogs"; {w} "SALE or OPEN"; {side} "to the left of"; {x} is a phrase, {e} a condition, {r} in `UNLESS` a rule;
{is} agrees with what is shown or counted.
"""

from __future__ import annotations

from collections.abc import Iterator

from jurat.pictograms.statements import Side

PHRASES: dict[str, tuple[str, ...]] = {
    "visible": ("{a}", "{p}", "any {n}", "any {p}"),
    "touches": (
        "{a} touching {b}",
        "{a} that touches {b}",
        "{a} in contact with {b}",
        "{p} touching {q}",
        "{b} touched by {a}",
        "{p} that touch {b}",
        "{a} that is in contact with {b}",
        "{p} in contact with {q}",
    ),
    "lies": ("{a} {side} {b}", "{a} that is {side} {b}", "{p} {side} {b}", "{p} that are {side} {b}"),
    "count": ("{k}",),
    "reads": (
        "a sign that reads {w}",
        "a sign with the word {w}",
        "signs that read {w}",
        "the word {w} on a sign",
        "signs with the word {w}",
    ),
    "larger": (
        "{a} larger than {b}",
        "{a} bigger than {b}",
        "{b} smaller than {a}",
        "{a} that is larger than {b}",
        "{b} that is smaller than {a}",
        "{a} that is bigger than {b}",
    ),
    "only": ("nothing but {a}", "only {a}", "only {a} and nothing else", "{a} and nothing else"),
}
"""Kind -> phrases for things that an image can show."""

JOINTS = (
    " together with ",
    " and ",
    " along with ",
    " with ",
    " in one image with ",
    " in one picture with ",
)
"""Words between two phrases; "and" is used only where neither is a list."""

FRAMES = (
    "images must not show {x}",
    "the image must not show {x}",
    "it is forbidden to show {x}",
    "never show {x}",
    "do not show {x}",
    "no image may show {x}",
    "no picture may contain {x}",
    "showing {x} is not allowed",
    "pictures of {x} are forbidden",
    "images with {x} are not permitted",
    "it is not allowed to show {x}",
    "we do not accept images of {x}",
    "an image that shows {x} breaks this rule",
    "pictures must never contain {x}",
    "pictures with {x} are banned",
    "showing {x} is prohibited",
    "it is not permitted to show {x}",
    "you must not show {x}",
    "images of {x} are prohibited",
    "pictures that show {x} are not allowed",
    "it is prohibited to show {x} in an image",
)
SUBJECT_FRAMES = (
    "{x} must not be shown",
    "{x} may not be visible",
    "{x} must never be visible",
    "{x} {is} not allowed",
    "{x} {is} forbidden",
    "{x} may never be shown",
    "{x} {is} not permitted in an image",
    "{x} must not appear in a picture",
    "{x} {is} banned",
    "{x} {is} prohibited",
    "{x} must never appear",
    "{x} may not be shown in a picture",
)
"""Frames for phrases that can be the subject of a sentence, in addition to `FRAMES`."""

OWN: dict[str, tuple[str, ...]] = {
    "visible": (
        "no {n} may be visible",
        "no {n} may be shown",
        "no {p} may be shown",
        "no {n} may appear",
        "neither {nor} may be shown",
        "{r} are not allowed",
        "there must be no {n}",
        "there must be no {p} in the picture",
        "{r} must not be shown",
        "no {n} is allowed in an image",
        "neither {nor} may be visible",
        "no {p} may be visible",
    ),
    "touches": (
        "no {n} may be shown touching {b}",
        "no {n} may touch {b}",
        "{a} must not touch {b}",
        "{p} must not touch {q}",
        "{p} are not allowed to touch {b}",
        "it is forbidden for {a} to touch {b}",
        "no {m} may be touched by {a}",
        "{b} must not be touched by {a}",
        "{b} may never be touched by {p}",
        "{p} must never be shown touching {q}",
        "{a} is not allowed to touch {b}",
        "no {m} must be touched by {a}",
        "{b} must never be touched by {a}",
        "{p} may not touch {q}",
    ),
    "lies": (
        "no {n} may be {side} {b}",
        "no {n} may be shown {side} {b}",
        "{a} must not be {side} {b}",
        "{p} must not be shown {side} {q}",
        "it is forbidden for {a} to be {side} {b}",
        "{a} may never be {side} {b}",
        "{p} may not be {side} {b}",
        "{a} is not allowed {side} {b}",
        "there must be no {n} {side} {b}",
        "no {p} may be {side} {b}",
        "no {n} may appear {side} {b}",
        "{a} must never be {side} {b}",
    ),
    "count": ("there must not be {k}", "there may never be {k}", "there may not be {k}"),
    "reads": (
        "no sign may read {w}",
        "a sign must not read {w}",
        "signs must not read {w}",
        "the word {w} must not be on a sign",
        "no sign may show the word {w}",
        "it is forbidden for a sign to read {w}",
        "signs may not show the word {w}",
        "a sign may never read {w}",
        "no sign with the word {w} may be visible",
    ),
    "larger": (
        "no {n} may be larger than {b}",
        "{a} must not be bigger than {b}",
        "{p} must not be larger than {q}",
        "no {m} may be smaller than {a}",
        "it is forbidden for {a} to be larger than {b}",
        "{b} must never be smaller than {a}",
        "{a} may not be larger than {b}",
        "no {n} may be shown that is larger than {b}",
        "{a} may never be bigger than {b}",
    ),
}
"""Kind -> whole sentences that fit no other kind."""

LIMITS: dict[tuple[str, int], tuple[str, ...]] = {
    ("at least", 2): (
        "no two {p} may be visible",
        "no more than one {n} may be shown",
        "at most one {n} may be visible",
        "there must be fewer than two {p}",
        "there may be no more than one {n}",
        "there must be at most one {n}",
        "no two {p} may be shown",
    ),
    ("at least", 3): (
        "no three {p} may be visible",
        "no more than two {p} may be shown",
        "at most two {p} may be visible",
        "there must be fewer than three {p}",
        "there may be no more than two {p}",
        "there must be at most two {p}",
        "no three {p} may be shown",
    ),
}
TOGETHER = (
    "no {n} may be visible together with {b}",
    "no {n} may be shown with {b}",
    "{a} must not be shown with {b}",
    "{a} and {b} must not be visible together",
    "{a} and {b} must not be shown in one image",
    "where {a} is visible, there must be no {m}",
    "if {a} is visible, {b} must not be shown",
    "no image may show both {a} and {b}",
    "no {m} may be shown where there is {a}",
    "wherever there is {a}, no {m} may be visible",
    "{a} and {b} must never be shown together",
    "if there is {a}, no {m} may be shown",
)
NEEDS = (
    "where {a} is visible, {b} must be visible too",
    "if {a} is visible, there must be {b}",
    "{a} may be shown only with {b}",
    "{a} must not be shown without {b}",
    "no {n} may be visible without {b}",
    "wherever there is {a}, {b} must be visible",
    "{a} may be visible only together with {b}",
    "an image that shows {a} must show {b} too",
    "if there is {a}, {b} must be shown too",
    "no {n} may be shown without {b}",
)
"""Sentences that forbid the first thing without the other."""
DEMANDS = (
    "every image must show {x}",
    "there must be {x} in the picture",
    "images without {x} are not allowed",
    "{x} must be visible",
    "every picture must contain {x}",
    "do not show an image without {x}",
    "no image may be without {x}",
    "{x} must be shown",
    "it is forbidden to show a picture without {x}",
    "an image without {x} breaks this rule",
    "images must show {x}",
    "no picture may be without {x}",
    "pictures must contain {x}",
    "there must be {x} in every image",
    "every image must contain {x}",
    "pictures without {x} are forbidden",
)

CONDITIONS: dict[str, tuple[str, ...]] = {
    "visible": (
        "{a} is visible",
        "{a} is present",
        "there is {a}",
        "{a} can be seen",
        "the image shows {a}",
        "there is {a} in the picture",
        "{a} is shown",
    ),
    "touches": ("{a} touches {b}", "{a} is touching {b}", "{b} is touched by {a}", "{p} touch {b}"),
    "lies": ("{a} is {side} {b}", "there is {a} {side} {b}", "the image shows {a} {side} {b}"),
    "count": ("there {is} {k}", "{k} {is} visible", "the image shows {k}", "{k} {is} present"),
    "reads": (
        "a sign reads {w}",
        "there is a sign that reads {w}",
        "the word {w} is on a sign",
        "the image shows a sign with the word {w}",
    ),
}
LACKS: dict[str, tuple[str, ...]] = {
    "visible": (
        "no {n} is visible",
        "there is no {n}",
        "no {n} is present",
        "there is no {n} in the picture",
    ),
    "reads": ("no sign reads {w}", "there is no sign that reads {w}", "no sign with the word {w} is visible"),
}
WITHOUT = (
    " without {x}",
    " in the absence of {x}",
    " without {x} in the picture",
    " in an image without {x}",
)
AFTER = (" when {e}", " where {e}", " if {e}", " while {e}", " in images where {e}", " in pictures where {e}")
UNLESS = (
    "{r}, unless {e}",
    "{r} unless {e}",
    "{r}, except when {e}",
    "{r} except where {e}",
    "unless {e}, {r}",
    "{r}, except if {e}",
    "{r}, but not if {e}",
    "{r} except when {e}",
    "{r}, except where {e}",
)
ONLY_IF = (
    "{x} may be shown only if {e}",
    "images may show {x} only if {e}",
    "{x} {is} allowed only when {e}",
    "it is allowed to show {x} only if {e}",
    "showing {x} is permitted only if {e}",
    "only if {e} may an image show {x}",
    "{x} may be visible only where {e}",
    "{x} {is} permitted only when {e}",
    "pictures may contain {x} only if {e}",
)
SIDES: dict[Side, tuple[str, ...]] = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "higher than"),
    "below": ("below", "under", "lower than"),
}
QUANTITIES = ("at least {k}", "{k} or more", "more than {k}", "exactly {k}", "precisely {k}")
NO_RULES = (
    "images may show {x}",
    "it is allowed to show {x}",
    "{x} {is} allowed",
    "{x} may be visible",
    "may images show {x}?",
    "the image shows {x}",
    "showing {x} is permitted",
    "pictures may contain {x}",
)
"""Sentences in the words of rules that forbid nothing."""


def templates() -> Iterator[str]:
    """All templates above, for a vocabulary."""
    for lists in (PHRASES, OWN, LIMITS, CONDITIONS, LACKS, SIDES):
        for options in lists.values():
            yield from options
    for options in (
        JOINTS,
        FRAMES,
        SUBJECT_FRAMES,
        TOGETHER,
        NEEDS,
        DEMANDS,
        WITHOUT,
        AFTER,
        UNLESS,
        ONLY_IF,
    ):
        yield from options
    yield from (*NO_RULES, *QUANTITIES)
