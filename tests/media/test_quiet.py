"""`quiet` silences warnings of Pillow while it decodes and restores everything else."""

from __future__ import annotations

import threading
import warnings

import pytest
from PIL import TiffImagePlugin

from jurat.media.quiet import quiet


def warn_as_pillow() -> None:
    code = compile("import warnings; warnings.warn('odd file')", "pillow", "exec")
    exec(code, {"__name__": TiffImagePlugin.__name__})


@pytest.mark.filterwarnings("error")
def test_quiet_silences_only_pillow_warnings() -> None:
    before = list(warnings.filters)
    with quiet():
        warn_as_pillow()
        with pytest.raises(UserWarning, match="ours"):
            warnings.warn("ours", stacklevel=1)
    assert list(warnings.filters) == before
    with pytest.raises(UserWarning, match="odd file"):
        warn_as_pillow()


@pytest.mark.filterwarnings("error")
def test_quiet_lasts_until_the_last_thread_leaves() -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)
    with quiet():
        warn_as_pillow()
    warn_as_pillow()
    leave.set()
    thread.join()
    with pytest.raises(UserWarning, match="odd file"):
        warn_as_pillow()


@pytest.mark.filterwarnings("error")
def test_quiet_tolerates_filters_restored_by_others() -> None:
    outer = warnings.catch_warnings()
    inside = quiet()
    outer.__enter__()
    inside.__enter__()
    outer.__exit__(None, None, None)
    inside.__exit__(None, None, None)
    with pytest.raises(UserWarning, match="odd file"):
        warn_as_pillow()


def test_quiet_restores_filters_after_an_exception() -> None:
    before = list(warnings.filters)
    with pytest.raises(KeyError), quiet():
        raise KeyError
    assert list(warnings.filters) == before
