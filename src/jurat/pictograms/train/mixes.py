"""What joint training shows, as data: for the bundled model, and for an organism that knows no judge.

The bundled model has met all that the judge will do to it: its wordings, questions without an image,
rectangles painted over, whole rules. `naive` has not: it was asked the same things in other words, always
about a whole image, and seldom about rules. What a part of the judge is worth on it says more about a
model that was trained by others.
"""

from __future__ import annotations

from dataclasses import dataclass

from jurat.judge.prompts import RULE, STATEMENT, Wording


@dataclass(frozen=True)
class Mix:
    """Shares and wordings of joint training."""

    modes: dict[str, float]
    """Modes of a batch (`batches`), with their shares."""
    statements: tuple[Wording, ...]
    """How statements are put, each as likely as the others."""
    rules: tuple[Wording, ...]
    """How whole rules are put."""
    blanked: float
    """Share of scenes with a rectangle painted over."""
    whole_rules: float
    """Factor on the share of conjunctions among statements."""


MIXES: dict[str, Mix] = {
    "bundled": Mix(
        {"statement": 0.74, "rule": 0.12, "free": 0.09, "no image": 0.05}, (STATEMENT,), (RULE,), 0.06, 1.0
    ),
    "naive": Mix(
        {"statement": 0.87, "rule": 0.03, "free": 0.10},
        (
            Wording("Answer with Yes or No.", "Is it true? {text}"),
            Wording("Is this true of the image? Answer Yes or No.", "{text}"),
            Wording("Think, then answer Yes or No.", "Can this be seen in the picture? {text}"),
            Wording("", "{text} Is it true, Yes or No?"),
            Wording("Answer with one word.", "Is this sentence true? {text}"),
        ),
        (
            Wording("Answer with Yes or No.", "Does the picture break this? {text}"),
            Wording("Does the image break it? Answer Yes or No.", "{text}"),
        ),
        0.0,
        0.25,
    ),
}
"""By the name of the model that they make."""
