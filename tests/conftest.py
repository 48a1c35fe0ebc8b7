"""For every test: a busy machine is slow, and no test is about time."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("jurat", deadline=None)
settings.load_profile("jurat")
