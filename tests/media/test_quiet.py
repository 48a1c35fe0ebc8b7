"""Pillow is silent while it decodes, and everything else is as before."""

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
def test_warnings_of_pillow_go_nowhere_and_others_stay() -> None:
    before = list(warnings.filters)
    with quiet():
        warn_as_pillow()
        with pytest.raises(UserWarning, match="ours"):
            warnings.warn("ours", stacklevel=1)
    assert list(warnings.filters) == before
    with pytest.raises(UserWarning, match="odd file"):
        warn_as_pillow()


@pytest.mark.filterwarnings("error")
def test_it_lasts_until_the_last_thread_has_left() -> None:
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
def test_filters_that_someone_else_put_back_do_no_harm() -> None:
    outer = warnings.catch_warnings()
    inside = quiet()
    outer.__enter__()
    inside.__enter__()
    outer.__exit__(None, None, None)
    inside.__exit__(None, None, None)
    with pytest.raises(UserWarning, match="odd file"):
        warn_as_pillow()


def test_an_error_inside_leaves_everything_as_before() -> None:
    before = list(warnings.filters)
    with pytest.raises(KeyError), quiet():
        raise KeyError
    assert list(warnings.filters) == before
