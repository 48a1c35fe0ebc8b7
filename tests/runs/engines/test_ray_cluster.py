"""The share of a cluster that each worker gets, and what a worker refuses; no cluster is started here."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from jurat.errors import JuratError
from jurat.judge.presets import find_preset
from jurat.judge.workers import JudgeDescription, JudgeSpec
from jurat.models import ModelSpec
from jurat.runs.engines.ray_cluster import ClusterResources, share_of
from jurat.runs.engines.ray_engine import _RayWorker
from jurat.runs.engines.steps import StepBatch

from ...judge.tinted import law

HEAD = {"memory": 1e9}
CPUS = {"CPU": 8.0}
FEW = {"CPU": 2.0}
CARDS = {"CPU": 16.0, "GPU": 4.0}


def spec(model: str = "null", **more) -> JudgeSpec:
    return JudgeSpec(law(), ModelSpec(model, device=more.pop("device", None)), find_preset("quick"), **more)


@pytest.mark.parametrize(
    ("machines", "asked", "share"),
    [
        ([CARDS, CARDS], (spec("bundled"), None, None), ClusterResources(8, 1.0, None)),
        ([HEAD, CARDS], (spec("hf/a/b"), None, 0.5), ClusterResources(8, 0.5, None)),
        ([CARDS, CARDS], (spec("hf/a/b"), None, 0.3), ClusterResources(24, 0.3, None)),
        ([CARDS, {"GPU": 2.0}], (spec("hf/a/b"), None, 3.0), ClusterResources(1, 3.0, None)),
        ([CARDS], (spec("hf/a/b"), 3, None), ClusterResources(3, 1.0, None)),
        ([CARDS], (spec("bundled", device="cpu"), None, None), ClusterResources(1, 0.0, 16)),
        ([CARDS, CARDS], (spec("openai/a"), None, None), ClusterResources(2, 0.0, 16)),
        ([CARDS], (spec("openai/a", detector="hf/c"), None, None), ClusterResources(4, 1.0, None)),
        ([CARDS], (spec("null"), None, 1.0), ClusterResources(4, 1.0, None)),
        ([HEAD, CPUS, FEW], (spec("bundled"), None, None), ClusterResources(2, 0.0, 2)),
        ([CPUS, CPUS], (spec("bundled"), 4, None), ClusterResources(4, 0.0, 4)),
        ([CPUS, CPUS], (spec("bundled"), 1, None), ClusterResources(1, 0.0, 8)),
        ([FEW], (spec("bundled"), 9, None), ClusterResources(9, 0.0, 1)),
    ],
)
def test_workers_split_the_cluster(machines, asked, share, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    workers, replicas, gpus = asked
    assert share_of(machines, workers.uses_gpu, replicas, gpus) == share


def test_omp_num_threads_from_the_user_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert share_of([CPUS], True, None, None) == ClusterResources(1, 0.0, 3)


@pytest.mark.parametrize(
    ("machines", "gpus", "message"),
    [
        ([CPUS], 1.0, "Each worker takes 1 GPUs, and no machine of the cluster has that many."),
        ([{"GPU": 1.0}, {"GPU": 1.0}], 2.0, "Each worker takes 2 GPUs, and no machine"),
        ([CARDS], 1.5, "--gpus is a part of one GPU or a whole number of them, not 1.5."),
    ],
)
def test_more_gpus_than_any_machine_has_are_refused(machines, gpus: float, message: str) -> None:
    with pytest.raises(JuratError, match=message):
        share_of(machines, True, None, gpus)


def test_worker_with_a_different_model_stops_the_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    mine = spec()
    told = mine.open().describe()
    empty = pa.table({"pickled": pa.array([pickle.dumps(StepBatch(found=0))], pa.large_binary())})

    def says(expected: JudgeDescription):
        worker = _RayWorker(mine, str(tmp_path), ClusterResources(1, 0.0, None), expected)
        (answer,) = (pickle.loads(cell.as_buffer()) for table in worker(empty) for cell in table["pickled"])
        return answer

    assert (says(told).found, says(told).stop) == (0, None)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    stop = says(replace(told, model=replace(told.model, dtype="float16"))).stop
    assert stop.message.startswith("A worker opened another model than the first one did: null@none in none,")
    assert "not null@none in float16" in stop.message
    assert says(replace(told, jurat="0")).stop is not None
