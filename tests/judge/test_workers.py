"""The steps of judging on workers, run in this process, against the ordinary judge."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jurat.constitution import load_constitution
from jurat.errors import JuratError
from jurat.judge import Judge, verdict_to_row
from jurat.judge.hash_list_verdicts import KnownItem
from jurat.judge.presets import find_preset
from jurat.judge.workers import ItemReader, JudgeDescription, JudgeSpec, JudgeWorker
from jurat.media import Sampling
from jurat.media.hash_list import load_hash_list
from jurat.models import ConcurrencySupport, ModelSpec, ModelUnavailable
from jurat.runs import Shard
from jurat.runs.engines import steps
from jurat.runs.engines.steps import Job, StepBatch, StopReason, compute, find, read
from jurat.runs.recorded_items import RecordedKeys, item_key, numbered
from jurat.sources import SourceOptions, find_items

from .tinted import Tinted, law, red

NOTHING = RecordedKeys(())
CHANGING = ("decision", "time", "seconds")


def job(
    *paths: Path | str, shard: Shard | None = None, alone: bool = False, given_up: str | None = None, **more
):
    options = more.pop("options", SourceOptions())
    reader = ItemReader(Sampling(), **{"batch_size": 4, **more})
    whole = Job.of(reader, list(map(str, paths)), options, shard)
    return replace(whole, alone=alone, given_up=given_up)


def computed(asked: Job, judge: Judge, recorded: RecordedKeys = NOTHING) -> list[StepBatch]:
    """All three steps, with what goes from one to the next pickled as it is between processes."""
    said = []
    for page in find(asked, recorded):
        for parcel in read(pickle.loads(pickle.dumps(page)), asked):
            said += compute(pickle.loads(pickle.dumps(parcel)), JudgeWorker(judge))
    return said


def rows(said: list[StepBatch]) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in CHANGING} for each in said for row in each.contents]


def ordinary(judge: Judge, *paths: Path | str, options: SourceOptions | None = None) -> list[dict]:
    found = numbered(find_items(list(map(str, paths)), options=options))
    told = map(verdict_to_row, judge.stream(found))
    return [{k: v for k, v in row.items() if k not in CHANGING} for row in told]


@pytest.fixture
def judge() -> Judge:
    return Judge(law(), Tinted(), "quick")


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pictures/ with 23 that range from black to red, an animation, and two that are none."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(23):
        red(number / 22, 8 + number).save(folder / f"{number:02}.png")
    red(0).save(folder / "moves.gif", save_all=True, append_images=[red(1), red(0.5)])
    (folder / "broken.png").write_bytes((folder / "00.png").read_bytes()[:40])
    (folder / "gone.png").symlink_to("nowhere")
    return folder


def with_tables(folder: Path) -> list[Path]:
    """One of every kind of source: paths, lists of paths, bytes, shards that are sought and that stream."""
    data = [(folder / f"{number:02}.png").read_bytes() for number in range(23)]
    listed, held = folder.parent / "listed.jsonl", folder.parent / "held.parquet"
    listed.write_text(
        '{"images": ["pictures/00.png", "pictures/22.png"]}\n{"images": ["pictures/broken.png"]}\n'
    )
    pq.write_table(pa.table({"image": data, "from": ["crawl"] * 23}), held)
    shards = [folder.parent / "shard.tar", folder.parent / "shard.tar.gz"]
    for shard in shards:
        with tarfile.open(shard, "w:gz" if shard.suffix == ".gz" else "w") as tar:
            for number, each in enumerate(data):
                entry = tarfile.TarInfo(f"{number:04}.png")
                entry.size = len(each)
                tar.addfile(entry, io.BytesIO(each))
    return [listed, held, *shards]


def test_workers_give_the_rows_of_a_judge(pictures: Path, judge: Judge) -> None:
    paths = ["pictures", *with_tables(pictures), "pictures/05.png"]
    said = computed(job(*paths), judge)
    expected = ordinary(judge, *paths)
    assert rows(said) == expected
    assert len(expected) == 26 + 2 + 3 * 23 + 1
    assert {row["outcome"] for row in expected} == {"safe", "unsafe", "unsure", "error"}
    assert expected[-1]["occurrence"] == 1
    assert [each.found for each in said if each.found is not None] == [len(expected)]
    assert not any(each.stop for each in said)


def test_bytes_travel_only_from_sources_read_in_passing(pictures: Path) -> None:
    def weight(path: Path | str) -> int:
        return sum(len(pickle.dumps(page)) for page in find(job(path), NOTHING))

    listed, held, shard, streamed = with_tables(pictures)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8))
    picture.save(pictures / "large.png")
    bytes_in_all = sum(path.stat().st_size for path in pictures.glob("[0-9]*.png"))
    assert (pictures / "large.png").stat().st_size > 400_000
    assert weight("pictures") < 20_000
    assert weight(listed) < 2_000
    assert weight(shard) < 10_000
    assert weight(streamed) > bytes_in_all
    assert weight(held) > bytes_in_all


def test_found_batches_grow_and_read_batches_are_bounded(pictures: Path, judge: Judge, monkeypatch) -> None:
    monkeypatch.setattr(steps, "FOUND_ITEMS", 12)
    monkeypatch.setattr(steps, "LOAD_BATCHES", 2)
    asked = job("pictures")
    pages = list(find(asked, NOTHING))
    assert [len(page.contents) for page in pages] == [4, 8, 12, 2, 0]
    (last,) = read(pages[3], asked)
    assert [len(load.content.frames) for load in last.contents] == [0, 3]
    assert [len(parcel.contents) for parcel in read(pages[2], asked)] == [8, 4]
    alone = job("pictures", alone=True)
    assert [len(page.contents) for page in find(alone, NOTHING)] == [1] * 26 + [0]
    assert [len(parcel.contents) for parcel in read(pages[2], alone)] == [1] * 12
    monkeypatch.setattr(steps, "LOAD_BYTES", 1)
    assert [len(parcel.contents) for parcel in read(pages[2], asked)] == [1] * 12


def test_rows_come_in_batches_that_fill_the_lanes(pictures: Path) -> None:
    asked = job("pictures")
    judge = Judge(law(), TwoLanes(), "quick", batch_size=4)
    page = next(each for each in find(asked, NOTHING) if len(each.contents) == 8)
    (parcel,) = read(page, asked)
    assert [len(each.contents) for each in compute(parcel, JudgeWorker(judge))] == [4, 4]
    assert judge.model.at_once == 2


def test_found_batches_of_bytes_are_bounded_by_size(pictures: Path, monkeypatch) -> None:
    held = with_tables(pictures)[1]
    monkeypatch.setattr(steps, "FOUND_BYTES", 200)
    sizes = [len(page.contents) for page in find(job(held, batch_size=16), NOTHING)]
    assert max(sizes) <= 3
    assert sum(sizes) == 23


def test_recorded_items_and_other_shards_are_skipped(pictures: Path, judge) -> None:
    recorded = RecordedKeys(item_key(f"pictures/{number:02}.png", 0) for number in range(20))
    left = rows(computed(job("pictures"), judge, recorded))
    assert {row["id"] for row in left} == {
        *(f"pictures/{name}.png" for name in ("20", "21", "22", "broken", "gone")),
        "pictures/moves.gif",
    }
    halves = [
        {row["id"] for row in rows(computed(job("pictures", shard=Shard(n, 2)), judge))} for n in (1, 2)
    ]
    assert halves[0] | halves[1] == {row["id"] for row in ordinary(judge, "pictures")}
    assert not halves[0] & halves[1]
    assert min(map(len, halves)) > 5


def test_passed_over_files_are_reported_with_the_last_rows(pictures: Path, judge: Judge) -> None:
    for name in ("a.dng", "b.dng", "notes"):
        (pictures / name).write_bytes(b"x")
    said = computed(job(pictures), judge)
    assert [rows.passed_over is not None for rows in said] == [False] * (len(said) - 1) + [True]
    last = said[-1].passed_over
    assert last is not None
    assert last.as_dict() == {"files": {".dng": 2, "no suffix": 1}}


def test_known_content_is_decided_without_sending_its_pixels(pictures: Path, judge: Judge) -> None:
    from hashlib import sha256

    digest = sha256((pictures / "03.png").read_bytes()).hexdigest()
    Path("known.csv").write_text(f"sha256,label,action,handling\n{digest},series 7,block,sealed\n")
    asked = job("pictures", known=load_hash_list("known.csv"))
    parcels = [parcel for page in find(asked, NOTHING) for parcel in read(page, asked)]
    contents = [load.content for parcel in parcels for load in parcel.contents]
    (settled,) = (content for content in contents if isinstance(content, KnownItem))
    pixels = (pictures / "03.png").read_bytes()
    assert pixels not in pickle.dumps(settled)
    found = {row["id"]: row for row in rows(computed(asked, judge))}
    assert len(found) == 26
    row = found["pictures/03.png"]
    assert (row["basis"], row["label"], row["outcome"]) == ("known_match", "series 7", "unsafe")
    assert (row["sha256"], row["handling"], row["rules"]) == (digest, "sealed", [])
    assert found["pictures/04.png"]["basis"] == "model"


def test_known_images_decide_an_item_of_several(pictures: Path, judge: Judge) -> None:
    from hashlib import sha256

    digests = [sha256((pictures / f"{number}.png").read_bytes()).hexdigest() for number in ("00", "22")]
    Path("listed.jsonl").write_text('{"images": ["pictures/00.png", "pictures/22.png"]}\n')
    lists = {
        "one blocked": [(digests[1], "block")],
        "one allowed": [(digests[0], "allow")],
        "both allowed": [(digest, "allow") for digest in digests],
    }
    decided = {}
    for name, entries in lists.items():
        lines = [f"{digest},logo,{action}" for digest, action in entries]
        Path("known.csv").write_text("\n".join(["sha256,label,action", *lines]))
        for captions in (False, True):
            asked = job("listed.jsonl", known=load_hash_list("known.csv"), reads_texts=captions)
            (row,) = rows(computed(asked, judge))
            decided[name, captions] = row["outcome"] if row["basis"] == "known_match" else "by the model"
    assert decided == {
        ("one blocked", False): "unsafe",
        ("one blocked", True): "unsafe",
        ("one allowed", False): "by the model",
        ("one allowed", True): "by the model",
        ("both allowed", False): "safe",
        ("both allowed", True): "by the model",
    }


def test_given_up_items_are_errors_with_the_reason(pictures: Path, judge: Judge) -> None:
    told = rows(computed(job("pictures", alone=True, given_up="Its worker ended."), judge))
    assert {(row["outcome"], row["error"]) for row in told} == {("error", "Its worker ended.")}
    assert len(told) == 26


def test_missing_column_stops_after_earlier_items(pictures: Path, judge: Judge) -> None:
    Path("table.csv").write_text("path\npictures/00.png\n")
    said = computed(job("pictures", "table.csv", options=SourceOptions(column="uri")), judge)
    assert len(rows(said)) == said[-1].found == 26
    with pytest.raises(JuratError, match="has no column 'uri'") as caught:
        raise said[-1].stop.error()
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_vanished_folder_stops_the_run_without_error_rows(pictures: Path, judge: Judge) -> None:
    asked = job("pictures")
    pages = list(find(asked, NOTHING))
    assert len(list(read(pages[0], asked))) == 1
    os.rename(pictures, "elsewhere")
    (parcel,) = read(pages[1], asked)
    assert (parcel.contents, parcel.found) == ((), None)
    assert "pictures is not there any more" in parcel.stop.message
    steps._roots.cache_clear()  # as on a machine that comes to it later
    (parcel,) = read(pages[1], asked)
    assert "pictures is not there any more" in parcel.stop.message
    assert [parcel.found for parcel in read(StepBatch(found=3), asked)] == [3]


class TwoLanes(Tinted):
    """Waits until it is asked from both. At work it has no threads left for further lanes."""

    def __init__(self) -> None:
        self.lanes, self.at_once = 2, 0
        self._both = Barrier(2, timeout=30)

    def ask(self, inquiries):
        if inquiries[0].prefix.images:
            self._both.wait()
            self.at_once = 2
        return super().ask(inquiries)

    @contextmanager
    def at_work(self):
        self.lanes = 1
        yield
        self.lanes = 2

    def capability(self, kind):
        return self if kind is ConcurrencySupport else None


class Dying(Tinted):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def ask(self, inquiries):
        raise self.error


def test_unavailable_model_stops_the_run(pictures: Path) -> None:
    gone = ModelUnavailable("The server does not answer.", hint="Start it.")
    said = computed(job("pictures"), Judge(law(), Dying(gone), "quick"))[0]
    assert said.contents == ()
    with pytest.raises(ModelUnavailable, match="does not answer") as caught:
        raise said.stop.error()
    assert (caught.value.exit_code, caught.value.hint) == (3, "Start it.")


def test_unexpected_exception_in_a_worker_is_named() -> None:
    stop = pickle.loads(pickle.dumps(StopReason.of(ZeroDivisionError("division by zero"))))
    with pytest.raises(RuntimeError, match="unexpected ZeroDivisionError: division by zero, in a worker"):
        raise stop.error()


def test_judge_spec_and_description_can_be_pickled(pictures: Path) -> None:
    preset = find_preset("quick")
    spec = pickle.loads(pickle.dumps(JudgeSpec(law(), ModelSpec("null?seed=4"), preset, batch_size=3)))
    judge = spec.open().judge
    stand_in = spec.stand_in(pickle.loads(pickle.dumps(JudgeDescription.of(judge))))
    assert (stand_in.model.name, stand_in.model.revision, stand_in.model.dtype) == (
        "null?seed=4",
        "none",
        "none",
    )
    assert (stand_in.constitution.digest, stand_in.preset, stand_in.batch_size) == (law().digest, preset, 3)
    assert [type(eye) for eye in (stand_in.detector, stand_in.matcher)] == [type(None)] * 2
    for verb in (stand_in.model.ask, stand_in.model.chat):
        with pytest.raises(JuratError, match="open in other processes"):
            verb([])
    same = Judge(law(), "null?seed=4", preset)
    assert rows(computed(job("pictures"), judge)) == ordinary(same, "pictures")


@pytest.mark.parametrize(("preset", "form"), [("clue", "short"), ("quick", None)])
def test_stand_in_has_the_prompts_of_the_open_judge(preset: str, form: str | None) -> None:
    """The bundled model reasons in the short form."""
    nursery = load_constitution("shelf:nursery")
    spec = JudgeSpec(nursery, ModelSpec("bundled"), find_preset(preset), "bundled", "bundled")
    judge = spec.open().judge
    stand_in = spec.stand_in(pickle.loads(pickle.dumps(JudgeDescription.of(judge))))
    assert (stand_in.reasoning, stand_in.prompts) == (form, judge.prompts)
    described = JudgeDescription.of(judge)
    assert judge.reasoning == form and described == pickle.loads(pickle.dumps(described))
