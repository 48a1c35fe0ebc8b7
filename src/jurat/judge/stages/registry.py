"""The stages that presets can be made of, by name. A third party adds one by the entry-point group
`jurat.stages`."""

from __future__ import annotations

from jurat.registry import Entry, Registry

__all__ = ["STAGES"]

_CLUE = "arXiv:2501.00192"
_OURS = (
    ("relevance", "Relevance", "keeps rules that the image does not resemble", _CLUE),
    ("quick", "Quick", "asks every statement about the whole image", None),
    ("crop", "Crop", "asks about small objects on crops", _CLUE),
    ("views", "Views", "asks uncertain statements again on shifted copies", None),
    ("regions", "Regions", "asks again with the central objects painted over", _CLUE),
    ("reason", "Reason", "lets the model reason in words", _CLUE),
    ("points", "Points", "shows where the objects of broken rules are", None),
)

STAGES: Registry[Entry] = Registry(
    "stages",
    "stage",
    Entry,
    [
        Entry(name, summary, f"jurat.judge.stages.{name}:{kind}", paper=paper)
        for name, kind, summary, paper in _OURS
    ],
)
"""The factories are the stages' classes, called with their settings."""
