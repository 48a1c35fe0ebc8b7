"""`jurat judge`: its output, files and exit codes."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

POLICY = ["--constitution", "colours.yaml", "--model", "colour"]
OUTCOMES = {
    "pics/blue-1.jpg": "safe",
    "pics/broken.png": "error",
    "pics/deep/blue-2.webp": "safe",
    "pics/deep/red-2.png": "unsafe",
    "pics/green.png": "unsafe",
    "pics/grey.png": "unsure",
    "pics/red-1.png": "unsafe",
}


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def outcomes(path: Path) -> dict[str, str]:
    return {row["id"]: row["outcome"] for row in rows(path)}


def line(text: str, start: str) -> str:
    """The one printed line that starts with `start`, with its runs of spaces as one."""
    (found,) = [
        row for row in (" ".join(row.split()) for row in text.splitlines()) if row.startswith(start + " ")
    ]
    return found


def test_folder_is_judged_recursively(pics, jurat):
    result = jurat("judge", "pics", *POLICY, "--out", "v.jsonl")
    assert result.exit_code == 0, result.output
    assert outcomes(Path("v.jsonl")) == OUTCOMES


def test_summary_tables_count_items_rules_and_reasons(pics, jurat):
    text = jurat("judge", "pics", *POLICY, "--out", "v.jsonl").stdout
    assert line(text, "unsafe") == "unsafe 3 42.9%"
    assert line(text, "safe") == "safe 2 28.6%"
    assert line(text, "all").startswith("all 7 ")
    assert "images/s" in line(text, "all")
    assert line(text, "no-red") == "no-red high 2 1 3"
    assert line(text, "no-green") == "no-green low 1 1 4"
    assert line(text, "low_mass") == "low_mass unsure 1 the model answered neither Yes nor No"
    assert line(text, "error error 1") == "error error 1 the image could not be judged"
    assert "7 rows are in v.jsonl. To look at them: jurat report v.jsonl --out page.html" in text


def test_without_out_items_are_listed_unsafe_first(pics, jurat):
    text = jurat("judge", "pics", *POLICY).stdout
    listed = [row.split()[:2] for row in text.splitlines() if "pics/" in row]
    assert listed == [
        ["unsafe", "pics/deep/red-2.png"],
        ["unsafe", "pics/green.png"],
        ["unsafe", "pics/red-1.png"],
        ["unsure", "pics/grey.png"],
        ["error", "pics/broken.png"],
        ["safe", "pics/blue-1.jpg"],
        ["safe", "pics/deep/blue-2.webp"],
    ]
    assert "unsafe pics/green.png no-green" in " ".join(text.split())
    assert "low_mass: no-red, no-green" in text


def test_show_limits_the_listing_and_counts_the_rest(pics, jurat):
    text = jurat("judge", "pics", *POLICY, "--show", "2").stdout
    assert text.count("pics/") == 2
    assert "and 5 more; --show 7 prints them, --out FILE.jsonl writes them all." in text


def test_with_out_items_are_listed_only_with_show(pics, jurat):
    assert "pics/" not in jurat("judge", "pics", *POLICY, "--out", "v.jsonl").stdout
    assert jurat("judge", "pics", *POLICY, "--out", "w.jsonl", "--show", "40").stdout.count("pics/") == 7


def test_quiet_prints_nothing(pics, jurat):
    result = jurat("judge", "pics", *POLICY, "--out", "v.jsonl", "--quiet")
    assert (result.output, result.exit_code) == ("", 0)


def test_stderr_is_empty_without_a_terminal(pics, jurat):
    assert jurat("judge", "pics", *POLICY).stderr == ""


def test_paths_may_be_files_globs_or_standard_input(pics, jurat):
    result = jurat(
        "judge", "pics/green.png", "pics/deep/*", "-", *POLICY, "-o", "v.jsonl", input="pics/grey.png\n\n"
    )
    assert result.exit_code == 0, result.output
    assert [row["id"] for row in rows(Path("v.jsonl"))] == [
        "pics/green.png",
        "pics/deep/blue-2.webp",
        "pics/deep/red-2.png",
        "pics/grey.png",
    ]


def test_parquet_and_json_lines_hold_equal_rows(pics, jurat):
    from jurat.runs import read_rows

    for out in ("v.jsonl", "v.parquet"):
        assert jurat("judge", "pics", *POLICY, "--out", out).exit_code == 0
    changing = {"decision", "time", "seconds"}
    strip = [{k: v for k, v in row.items() if k not in changing} for row in read_rows(Path("v.jsonl"))]
    assert strip == [
        {k: v for k, v in row.items() if k not in changing} for row in read_rows(Path("v.parquet"))
    ]
    assert len(strip) == 7


def test_out_dash_writes_rows_to_stdout_and_tables_to_stderr(pics, jurat):
    result = jurat("judge", "pics", *POLICY, "--out", "-")
    assert [json.loads(row)["outcome"] for row in result.stdout.splitlines()] == list(OUTCOMES.values())
    assert "images/s" in result.stderr


@pytest.mark.parametrize(
    ("fail_on", "paths", "code"),
    [
        ("unsafe", ["pics"], 1),
        ("unsafe", ["pics/blue-1.jpg"], 0),
        ("unsure", ["pics/grey.png"], 1),
        ("error", ["pics/broken.png", "pics/blue-1.jpg"], 1),
        ("error, unsure", ["pics/red-1.png"], 0),
        ("unsafe,unsure,error", ["pics/green.png"], 1),
        ("", ["pics"], 0),
    ],
)
def test_fail_on_selects_exit_code_0_or_1(pics, jurat, fail_on, paths, code):
    assert jurat("judge", *paths, *POLICY, "--fail-on", fail_on).exit_code == code


def test_exit_code_3_if_every_row_is_an_error(pics, jurat):
    result = jurat(
        "judge", "pics/broken.png", "pics/nosuch.png", *POLICY, "--out", "v.jsonl", "--fail-on", "error"
    )
    assert result.exit_code == 3
    assert "jurat: Nothing could be judged. The first reason: " in result.stderr
    assert outcomes(Path("v.jsonl")) == {"pics/broken.png": "error", "pics/nosuch.png": "error"}
    assert jurat("judge", "pics/nosuch.png", *POLICY, "--show", "0").exit_code == 3


def test_exit_code_3_if_the_model_always_fails(pics, jurat):
    result = jurat("judge", "pics", "--constitution", "colours.yaml", "--model", "null?crash=1")
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1 and "Nothing could be judged" in result.stderr


WRONG = {
    "an unknown outcome": (["pics", *POLICY, "--fail-on", "unsave"], 2, "'unsave' is not an outcome"),
    "no such constitution": (["pics", "--constitution", "nosuch.yaml"], 2, "nosuch.yaml"),
    "no such shelf": (["pics", "--constitution", "shelf:nurserry", "--model", "colour"], 2, "nursery"),
    "no such model": (["pics", "-c", "colours.yaml", "-m", "bundeld"], 2, "Did you mean 'bundled'?"),
    "no such preset": (["pics", *POLICY, "--preset", "quik"], 2, "quick"),
    "no such folder of a model": (["pics", "-c", "colours.yaml", "-m", "hf/./nosuch"], 3, "nosuch"),
    "a model that cannot be loaded": (
        ["pics", "-c", "colours.yaml", "-m", "colour/broken"],
        3,
        "Fetch them again.",
    ),
    "no constitution": (["pics"], 2, "--constitution"),
    "no paths": (["--constitution", "colours.yaml"], 2, "paths"),
    "no images": (["empty", *POLICY], 2, "No images were found in empty."),
    "an output of unknown kind": (["pics", *POLICY, "--out", "v.txt"], 2, ".jsonl"),
    "an output of unknown kind, before a model is loaded": (
        ["pics", "-c", "colours.yaml", "-m", "colour/broken", "--out", "v.txt"],
        2,
        "v.txt: jurat does not write .txt files.",
    ),
    "an existing output": (
        ["pics", *POLICY, "--out", "there.jsonl"],
        2,
        "there.jsonl already exists and was not changed.",
    ),
    "an output with too long a name": (["pics", *POLICY, "--out", "a" * 300], 2, "File name too long"),
    "a file with too long a name": (["pics", *POLICY, "--out", "a" * 300 + ".jsonl"], 2, "name too long"),
    "an output that is a folder": (["pics", *POLICY, "--out", "empty", "--overwrite"], 2, "empty"),
    "a batch size of zero": (["pics", *POLICY, "--batch-size", "0"], 2, "--batch-size"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_an_error_line_without_traceback(pics, jurat, case):
    args, code, told = WRONG[case]
    Path("empty").mkdir()
    Path("there.jsonl").write_text("kept\n")
    result = jurat("judge", *args)
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert Path("there.jsonl").read_text() == "kept\n"


def test_closed_pipe_stops_the_run_with_one_error(pics, tmp_path):
    for i in range(200):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(pics / f"more-{i:03}.png")
    command = [sys.executable, "-m", "jurat", "judge", "pics", "-c", "colours.yaml", "-m", "null", "-q"]
    with subprocess.Popen(
        [*command, "--out", "-"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as going:
        assert going.stdout.readline().startswith(b'{"schema":')
        going.stdout.close()
        told = going.stderr.read().decode()
    assert going.returncode == 2
    assert "standard output cannot be written: Broken pipe; " in told
    assert "Exception ignored" not in told and "Traceback" not in told


def test_overwrite_replaces_the_output(pics, jurat):
    Path("v.jsonl").write_text("old\n")
    assert jurat("judge", "pics/green.png", *POLICY, "--out", "v.jsonl", "--overwrite").exit_code == 0
    assert outcomes(Path("v.jsonl")) == {"pics/green.png": "unsafe"}


def test_control_characters_in_names_are_escaped(pics, jurat):
    name = "pics/\x1b[31mred\x07\u202egnp.png"
    Image.new("RGB", (8, 8), "red").save(name)
    text = jurat("judge", name, *POLICY).stdout
    assert r"pics/\x1b[31mred\x07\u202egnp.png" in text
    assert not set("\x1b\x07\u202e") & set(text)


def test_names_are_not_read_as_markup(pics, jurat):
    Image.new("RGB", (8, 8), "red").save("pics/[bold]x.png")
    assert "pics/[bold]x.png" in jurat("judge", "pics/[[]bold]x*", *POLICY).stdout


def test_null_model_prints_a_note(pics, jurat):
    text = jurat("judge", "pics/green.png", "-c", "colours.yaml", "-m", "null").stdout
    assert "Note: The null model draws its answers from a seed: they mean nothing." in text


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_partly_judged_animation_is_reported(pics, jurat, quiet):
    frames = [Image.new("RGB", (8, 8), (0, number, 200)) for number in range(40)]
    frames[0].save("pics/long.webp", save_all=True, append_images=frames[1:], lossless=True)
    told = (
        "Not all frames or pages were looked at of 1 item that is not unsafe; --max-frames N looks at more."
    )
    assert told in jurat("judge", "pics/long.webp", *POLICY, *quiet).stderr
    whole = jurat("judge", "pics/long.webp", *POLICY, "--max-frames", "40", *quiet)
    assert whole.exit_code == 0 and "looked at" not in whole.stderr


def start(tmp_path: Path, *args: str, **kwargs) -> subprocess.Popen:
    # A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "-m", "jurat", *args]
    return subprocess.Popen(command, cwd=tmp_path, text=True, preexec_fn=heed, **kwargs)


def test_ctrl_c_keeps_rows_without_traceback(pics, tmp_path):
    for i in range(40):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(pics / f"more-{i:02}.png")
    args = [
        "judge",
        "pics",
        "-c",
        "colours.yaml",
        "-m",
        "null?pace=0.1",
        "--batch-size",
        "1",
        "--out",
        "v.jsonl",
    ]
    run = start(tmp_path, *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out = tmp_path / "v.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (out.exists() and out.read_text().count("\n") >= 3):
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGINT)
    stdout, stderr = run.communicate(timeout=60)
    assert run.returncode == 130
    kept = rows(out)
    assert 3 <= len(kept) < 47
    assert f"jurat: interrupted after {len(kept)} items; " in stderr
    assert "Traceback" not in stderr
    assert line(stdout, "all").startswith(f"all {len(kept)} ")


def test_terminal_shows_progress_rate_and_remaining_time(pics, tmp_path):
    pty = pytest.importorskip("pty", reason="needs a POSIX terminal")
    terminal, end = pty.openpty()
    for i in range(30):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(pics / f"more-{i:02}.png")
    args = ["judge", "pics", "-c", "colours.yaml", "-m", "null?pace=0.01", "--batch-size", "1"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    run = start(tmp_path, *args, stdout=subprocess.DEVNULL, stderr=end, env=environment)
    os.close(end)
    seen = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the other end was closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(terminal)
    assert run.wait(timeout=60) == 0
    text = seen.decode(errors="replace")
    assert "/37" in text and "images/s" in text and "0:00" in text


def test_help_lists_every_option_in_a_panel():
    import subprocess
    import sys

    import typer

    from jurat.cli.help_panels import PANELS
    from jurat.cli.judge import app

    command = typer.main.get_command(app)
    options = [param for param in command.params if param.param_type_name == "option"]
    assert sorted(param.name for param in options) == sorted(
        name for names in PANELS.values() for name in names
    )
    told = subprocess.run(
        [sys.executable, "-m", "jurat", "judge", "--help"], capture_output=True, text=True
    ).stdout
    assert [line[:-1] for line in told.splitlines() if line.endswith(":") and line[0] != " "] == [
        "Arguments",
        *PANELS,
        "Options",
    ]
    assert told.isascii() and max(map(len, told.splitlines())) <= 80
