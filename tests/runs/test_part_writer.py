"""Rewriting a run is atomic: a killed process leaves either the old rows and facts or the new ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from jurat.errors import JuratError
from jurat.runs import read_rows
from jurat.runs.folder import RETRYING, read_facts, run_rows
from jurat.runs.part_writer import PartWriter

from .test_folder import ROWS, names, numbers, write

CALLS = ("replace", "fsync", "unlink")


def again(row: dict[str, Any]) -> dict[str, Any] | None:
    number = int(row["columns"]["n"])
    return None if number % 7 == 3 else {**row, "outcome": "unsafe"}


def rewrite(run: Path) -> None:
    with PartWriter(run, ROWS, part_rows=10) as sink:
        sink.rewrite(again, lambda: {"settings": {"law": "new"}})


def state(run: Path) -> tuple[str, list[int], set[str]]:
    rows = list(read_rows(run))
    settings = read_facts(run)["settings"]
    return settings.get("law", "old"), numbers(run), {row["outcome"] for row in rows}


OLD = ("old", list(range(25)), {"safe"})
NEW = ("new", [number for number in range(25) if number % 7 != 3], {"unsafe"})


def test_rewrite_replaces_all_rows_and_facts(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, range(25))
    rewrite(run)
    assert state(run) == NEW
    assert names(run) == [f"part-{number:06}.parquet" for number in range(3)]
    write(run, range(25, 30))
    assert numbers(run) == [*NEW[1], *range(25, 30)]
    rewrite(run)  # once more
    assert len(numbers(run)) == 21 + 5


def test_rows_taken_out_by_a_rewrite_are_restored(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, range(25))
    rewrite(run)
    lines = (run / RETRYING).read_text().splitlines()
    assert [int(json.loads(line)["columns"]["n"]) for line in lines] == [3, 10, 17, 24]
    with PartWriter(run, ROWS) as sink:
        assert sink.put_back() == {"safe": 4}
    assert sorted(numbers(run)) == list(range(25))


def killed_at(call: int, run: Path) -> bool:
    """Rewrites a run in a process of its own that ends before its n-th call that changes files."""
    child = os.fork()
    if child == 0:
        left = call

        def counted(name: str) -> Any:
            real = getattr(os, name)

            def work(*args: Any, **more: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(9)
                return real(*args, **more)

            return work

        code = 1
        try:
            for name in CALLS:
                setattr(os, name, counted(name))
            rewrite(run)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_at_any_step_leaves_the_old_run_or_the_new_one(tmp_path: Path) -> None:
    seen = set()
    for call in range(100):
        run = tmp_path / f"run-{call}"
        write(run, range(25))
        if not killed_at(call, run):
            break
        found = state(run)
        assert found in (OLD, NEW), call
        assert [row["id"] for row in run_rows(run, ["id"])] == [row["id"] for row in read_rows(run)]
        seen.add(found[0])
        write(run, range(25, 27))  # whoever goes on
        assert [name for name in names(run) if not name.endswith(".parquet")] == []
        law, there, outcomes = state(run)
        assert (law, there, outcomes) == (found[0], [*found[1], 25, 26], {*found[2], "safe"}), call
    assert seen == {"old", "new"} and call > 10


def test_failed_rewrite_changes_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, range(25))

    def wrong(row: dict[str, Any]) -> dict[str, Any]:
        if row["columns"]["n"] == "21":
            raise JuratError("This is no verdict.")
        return row

    with pytest.raises(JuratError, match="no verdict"), PartWriter(run, ROWS) as sink:
        sink.rewrite(wrong, lambda: {"settings": {"law": "new"}})
    assert state(run) == OLD
    assert names(run) == [f"part-{number:06}.parquet" for number in range(3)]
