"""`jurat judge --model openai/NAME`: answers, outages, costs and dry runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from jurat.runs import read_rows

from ..models.openai_server import Asked, Server, Told, completion, error

KEY = "sk-planted-91b07733d0e2"
OUTCOMES = {
    "pics/blue-1.jpg": "safe",
    "pics/broken.png": "error",
    "pics/deep/blue-2.webp": "safe",
    "pics/deep/red-2.png": "unsafe",
    "pics/green.png": "unsafe",
    "pics/red-1.png": "unsafe",
}


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def seen(asked: Asked) -> str:
    """The colour of the image, or "none" without one."""
    if not asked.images:
        return "none"
    pixel = asked.images[0].convert("RGB").getpixel((20, 15))
    return ("red", "green", "blue")[pixel.index(max(pixel))]  # type: ignore[union-attr, index]


def measuring(asked: Asked) -> Told:
    yes = 0.9 if seen(asked) in asked.question else 0.02
    listed = {"Yes": yes, "No": 0.93 - yes, "The": 0.01, "A": 0.01}
    return completion("Yes" if yes > 0.5 else "No", listed, fingerprint="fp_7")


def stating(asked: Asked) -> Told:
    if "1. " not in asked.text:
        return completion("No")
    lines = [line for line in asked.text.splitlines() if line[:1].isdigit()]
    said = {line.partition(".")[0]: "Yes" if seen(asked) in line else "No" for line in lines}
    return completion(json.dumps(said))


@pytest.fixture
def serve() -> Iterator[object]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda script: stack.enter_context(Server(script, check=None).running())


@pytest.fixture
def policy(pics) -> list[str]:
    (pics / "grey.png").unlink()
    return ["judge", "pics", "--constitution", "colours.yaml", "--model", "openai/tiny-vision", "--base-url"]


def rows(name: str) -> list[dict]:
    with open(name) as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("script", [measuring, stating])
def test_served_model_judges_a_folder(policy, jurat, serve, script):
    result = jurat(*policy, serve(script).url, "--out", "v.jsonl")
    assert result.exit_code == 0, result.output
    found = rows("v.jsonl")
    assert {row["id"]: row["outcome"] for row in found} == OUTCOMES
    fingerprint = "+fp_7" if script is measuring else ""
    judged = {row["model"] for row in found if row["outcome"] != "error"}
    assert judged == {f"openai/tiny-vision@tiny-vision-001{fingerprint}"}


def test_summary_prints_calls_tokens_and_cost(policy, jurat, serve):
    server = serve(measuring)
    result = jurat(*policy, server.url, "--input-price", "2", "--output-price", "10")
    calls = len(server.asked)
    money = calls * (100 * 2 + 1 * 10) / 1e6
    told = f"{calls * 100:,} tokens in ({calls * 80:,} of them cached), {calls} out"
    assert f"Calls answered: {calls}; {told}, {money:.4f} at the prices given." in result.stdout


def test_dry_run_sends_nothing_and_estimates_calls(policy, jurat, serve):
    server = serve(measuring)
    result = jurat(*policy, server.url, "--dry-run", "--input-price", "2", "--out", "v.jsonl")
    assert result.exit_code == 0, result.output
    assert not server.asked
    text = " ".join(result.stdout.split())
    assert "gives logprobs" in text and "gives none" in text and "money" in text
    assert "6 items. Nothing was sent." in text
    with pytest.raises(FileNotFoundError):
        rows("v.jsonl")
    real = jurat(*policy, server.url, "--preset", "quick")  # which takes no second looks
    assert real.exit_code == 0
    assert f"gives logprobs {len(server.asked)} " in text


class Counting(SimpleHTTPRequestHandler):
    """Files of the current folder."""

    fetched: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.fetched.append(self.path)
        super().do_GET()

    def log_message(self, *args: object) -> None: ...


def test_dry_run_fetches_only_its_sample(policy, pics, jurat, serve, monkeypatch):
    monkeypatch.setattr("jurat.cli.endpoint_options.SAMPLE", 2)
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as files:
        threading.Thread(target=files.serve_forever, args=(0.02,), daemon=True).start()
        root = f"http://127.0.0.1:{files.server_port}/pics"
        names = sorted(str(path.relative_to(pics)) for path in pics.rglob("*") if path.is_file())
        Path("t.csv").write_text("\n".join(["url", *(f"{root}/{name}" for name in names)]))
        result = jurat(
            "judge", "t.csv", *policy[2:], serve(measuring).url, "--dry-run", "--allow-private-hosts"
        )
        files.shutdown()
    assert "6 items, estimated from the first 2. Nothing was sent." in " ".join(result.stdout.split())
    assert len(Counting.fetched) == 2


def test_dry_run_counts_only_remaining_items(policy, jurat, serve):
    url = serve(measuring).url
    assert jurat(*policy, url, "--shard", "1/2", "--out", "run").exit_code == 0
    done = len({row["id"] for row in read_rows("run")})
    result = jurat(*policy, url, "--dry-run", "--out", "run")
    assert 0 < done < 6
    assert f"{6 - done} item" in result.stdout


def test_dry_run_of_an_empty_shard_is_reported(policy, jurat, serve):
    result = jurat(*policy, serve(measuring).url, "--dry-run", "--shard", "999/1000")
    assert result.exit_code == 0, result.output
    assert result.stdout == "There is nothing to judge here. Nothing was sent.\n"


def test_row_of_a_refused_image_has_its_cost(policy, jurat, serve):
    def script(asked: Asked) -> Told:
        return completion(None, refusal="Not for me.") if seen(asked) == "blue" else measuring(asked)

    jurat(*policy, serve(script).url, "--preset", "quick", "--input-price", "2", "--out", "v.jsonl")
    refused = [row["cost"] for row in rows("v.jsonl") if row["reason"] == "refused"]
    assert refused
    for cost in refused:
        assert cost["question_tokens"] >= 100 and cost["images"] == 1 and cost["dollars"] > 0


def test_server_outage_exits_with_3_and_keeps_rows(policy, jurat, serve):
    lock, left = threading.Lock(), [12]  # 4 of them to learn whether it sees

    def script(asked: Asked) -> Told:
        with lock:
            left[0] -= 1
            return measuring(asked) if left[0] >= 0 else error(401, f"Who is {KEY}?")

    url = serve(script).url
    result = jurat(*policy, url, "--out", "v.jsonl", "--batch-size", "1", "--preset", "quick")
    assert result.exit_code == 3
    assert "'tiny-vision' does not answer at http://127.0.0.1" in result.stderr
    assert result.stderr.count("\n") == 2
    kept = rows("v.jsonl")
    assert 1 <= len(kept) < 6
    assert all(row["outcome"] == OUTCOMES[row["id"]] for row in kept)
    assert "all " in result.stdout


def test_item_faults_are_rows_without_the_key(policy, jurat, serve):
    def script(asked: Asked) -> Told:
        said = asked.headers["authorization"]
        faults = {
            "red": error(400, f"{said}: blocked", code="content_filter"),
            "green": error(400, f"What is {said}?"),
            "blue": completion(None, refusal=f"Not for {said}."),
        }
        return faults.get(seen(asked), measuring(asked))

    result = jurat(*policy, serve(script).url, "--out", "v.jsonl", "--show", "40")
    found = {row["id"]: (row["outcome"], row["reason"]) for row in rows("v.jsonl")}
    assert found["pics/red-1.png"] == ("unsure", "filtered")
    assert found["pics/blue-1.jpg"] == ("unsure", "refused")
    assert found["pics/green.png"] == ("error", "error")
    with open("v.jsonl") as file:
        everything = result.output + result.stderr + file.read()
    assert KEY not in everything and KEY[3:] not in everything


def test_impossible_token_counts_do_not_stop_the_run(policy, jurat, serve):
    def script(asked: Asked) -> Told:
        told = measuring(asked)
        if seen(asked) == "red":
            told.body["usage"] |= {"prompt_tokens": 10**20, "completion_tokens": 10**19}
        return told

    url = serve(script).url
    for number in (1, 2):
        for options in ([], ["--retry-errors"]):
            result = jurat(*policy, url, "--out", f"run{number}", "--shard", f"{number}/2", *options)
            assert result.exit_code in (0, 3), result.output  # 3 where a shard has errors only
    assert jurat("merge", "run1", "run2", "--out", "all").exit_code == 0
    assert {row["id"]: row["outcome"] for row in read_rows("all")} == OUTCOMES


WRONG = {
    "no scheme": (["localhost:8000"], 2, "begins with http:// or https://"),
    "a key in the address": (["https://me:secret@host/v1"], 2, "no user, password or query"),
    "no concurrency": (["http://localhost:1/v1", "--concurrency", "0"], 2, "concurrency must be at least 1"),
    "no pixels": (["http://localhost:1/v1", "--max-pixels", "0"], 2, "max pixels must be at least 1024"),
    "a local model": (["http://localhost:1/v1", "-m", "null"], 2, "it has no server to call"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_server_options_are_an_error_line(policy, jurat, case):
    args, code, told = WRONG[case]
    result = jurat(*policy, *args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in result.stderr and "secret" not in result.stderr


def test_dry_run_of_a_local_model_is_wrong_usage(pics, jurat):
    result = jurat("judge", "pics", "-c", "colours.yaml", "-m", "null", "--dry-run")
    assert result.exit_code == 2
    assert "The model 'null' runs here: there are no calls to estimate." in result.stderr


def test_missing_sdk_names_the_install_command():
    import subprocess
    import sys

    code = (
        "import sys; from importlib.machinery import PathFinder\n"
        "class Without:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        return None if name == 'openai' else PathFinder.find_spec(name, path, target)\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if f is not PathFinder] + [Without]\n"
        "sys.argv = ['jurat', *sys.argv[1:]]\n"
        "from jurat.cli import main; main()"
    )
    args = ["judge", __file__, "-c", "shelf:nursery", "-m", "openai/x"]
    run = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=300)
    assert run.returncode == 2, run.stderr
    assert run.stderr == (
        "jurat: The model 'openai/x' needs packages that are not installed.\n"
        '  Install them: pip install "jurat[openai]"\n'
    )


# --- wherever a model is opened


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrations take the five images of pics/ that a model with a server has to be asked about."""
    monkeypatch.setattr("jurat.judge.calibrate.fit.MIN_IMAGES", 5)


EXAMPLES = """    examples:
      broken: [pics/red-1.png, pics/deep/red-2.png]
      kept: [pics/blue-1.jpg, pics/green.png]
"""


def test_every_command_with_a_model_accepts_server_options(pics, jurat, serve, few_images):
    """Options of `judge`: base URL, concurrency and image size."""
    text = Path("colours.yaml").read_text()
    Path("tested.yaml").write_text(text.replace("severity: high\n", f"severity: high\n{EXAMPLES}"))
    Path("labels.csv").write_text("file,broken\nred-1.png,no-red\nblue-1.jpg,\n")
    (pics / "broken.png").unlink()
    (pics / "grey.png").unlink()
    law = ("--constitution", "colours.yaml")
    commands = {
        "test": ("constitution", "test", "tested.yaml", "--preset", "quick"),
        "calibrate": ("calibrate", "--images", "pics", *law),
        "bench": (
            "bench", "labelled", "--images", "pics", "--labels", "labels.csv", *law, "-p", "quick", "--quiet",
        ),
    }  # fmt: skip
    for name, command in commands.items():
        server = serve(measuring)
        options = ("--base-url", server.url, "--concurrency", "2", "--max-pixels", "1024", "--deadline", "60")
        result = jurat(*command, "--model", "openai/tiny-vision", *options)
        assert result.exit_code == 0, (name, result.output)
        assert len(server.asked) > 3, name
        sizes = {image.size for asked in server.asked for image in asked.images}
        assert sizes and max(width * height for width, height in sizes) <= 1024, name


def test_test_and_bench_accept_calibration_and_presets(pics, jurat, serve, few_images):
    (pics / "broken.png").unlink()
    (pics / "grey.png").unlink()
    text = Path("colours.yaml").read_text()
    Path("colours.yaml").write_text(text.replace("severity: high\n", f"severity: high\n{EXAMPLES}"))
    Path("labels.csv").write_text("file,broken\nred-1.png,no-red\nblue-1.jpg,\n")
    model = ("--model", "openai/tiny-vision", "--base-url", serve(measuring).url)
    fitted = jurat("calibrate", "--images", "pics", "-c", "colours.yaml", *model, "--out", "c.json")
    assert fitted.exit_code == 0, fitted.output
    test = ("constitution", "test", "colours.yaml", *model)
    told = jurat(*test, "--preset", "jurat", "--calibration", "c.json", "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["preset"] == "jurat"
    other = Path("other.yaml")
    other.write_text(Path("colours.yaml").read_text().replace("is green", "is blue"))
    refused = jurat("constitution", "test", "other.yaml", *model, "--calibration", "c.json")
    assert (refused.exit_code, "fitted for something else" in refused.stderr) == (2, True)
    bench = (
        "bench",
        "labelled",
        "--images",
        "pics",
        "--labels",
        "labels.csv",
        *model,
        "-p",
        "quick",
        "--quiet",
    )
    assert jurat(*bench, "-c", "colours.yaml", "--calibration", "c.json", "--out", "b").exit_code == 0
    left = jurat(*bench, "-c", "other.yaml", "--calibration", "c.json", "--out", "b2")
    assert (left.exit_code, "fitted for something else" in left.stderr) == (2, True)


def test_fail_on_reports_outcomes_it_does_not_name(pics, jurat):
    judge = ("judge", "pics/blue-1.jpg", "pics/grey.png", "pics/broken.png", "-c", "colours.yaml")
    told = jurat(*judge, "--model", "colour", "--fail-on", "unsafe")
    assert told.exit_code == 0
    assert (
        "--fail-on unsafe found none, and does not name 1 that is unsure and 1 that is error." in told.stderr
    )
    assert jurat(*judge, "--model", "colour", "--fail-on", "unsafe,error").exit_code == 1


def test_image_format_and_thinking_field_reach_the_server(policy, jurat, serve):
    server = serve(measuring)
    options = ("--image-format", "jpeg", "--thinking-field", "chat_template_kwargs", "--preset", "quick")
    assert jurat(*policy, server.url, *options).exit_code == 0
    assert {image.format for asked in server.asked for image in asked.images} == {"JPEG"}
    sent = [asked.body["chat_template_kwargs"] for asked in server.asked]
    assert sent and all(fields == {"enable_thinking": False} for fields in sent)
    wrong = jurat(*policy, server.url, "--image-format", "gif")
    assert wrong.exit_code == 2
