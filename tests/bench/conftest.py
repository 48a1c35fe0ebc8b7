"""Fixtures of the bench tests: small splits and a seeded generator."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from jurat.bench.pictogram import BenchItem, draw_split


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def splits() -> dict[str, list[BenchItem]]:
    """One pair per rule of each paired split, and the corresponding scenes of the others."""
    names = ("dev", "test", "habits", "vault", "borderline", "redrawn", "unmet")
    drawn = {name: list(draw_split(name, 3, 1)) for name in names}
    # The scenes of flip are those of test, which are drawn already: its own path is tested on a few.
    return drawn | {
        "flip": list(islice(draw_split("flip", 3, 1), 6)),
        "rare": list(islice(draw_split("rare", 3, 1), 6)),
    }


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
