"""For every test: a busy machine is slow, and no test is about time."""

from __future__ import annotations

import os

from hypothesis import settings

from jurat.models.transforms import prepare_torchvision

prepare_torchvision()  # before a test module imports transformers

os.environ["JURAT_CACHE"] = "off"  # nothing is remembered from one test to the next, or written into a home

settings.register_profile("jurat", deadline=None)
settings.load_profile("jurat")
