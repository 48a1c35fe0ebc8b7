"""Computing rows on the workers of a Ray cluster (extra `ray`).

    with start(spec) as engine:
        for rows in run.collect(engine, job):
            ...

The steps of `jurat.runs.engines.steps` run on Ray Data: one task finds items, on the machine that leads;
tasks on processors read and decode them; actors, each with a worker of its own that is opened from its spec,
compute rows. A worker takes a whole GPU where there are some, and next to nothing of a processor, so that
readers never starve; a reader takes half a processor, since half of its time it waits for storage. Ray holds
back the readers when what they read fills its object store.

A row of the Ray data set is one parcel, pickled: so items are computed together as they were read, and Ray
has few things to keep account of where there are many items. Ray runs a task again when its worker dies. What
was lost even so is computed once more, each item by itself; one that takes its worker down three times
becomes an error row. An item that comes back twice counts once.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any

from jurat.errors import JuratError, MissingExtra
from jurat.runs.engines import steps
from jurat.runs.engines.ray_cluster import (
    ClusterResources,
    connect,
    first_line,
    machines,
    share_of,
    what_comes,
)
from jurat.runs.engines.steps import Job, Key, StepBatch, StopReason, Worker, WorkerSpec
from jurat.runs.recorded_items import Occurrences, RecordedKeys
from jurat.sources.passed_over import PassedOver

READER_CPUS, WORKER_CPUS = 0.5, 0.01
TRIES = 3
"""Times that Ray runs what a worker had in hand when it died."""
_CELL = "pickled"
_GIVEN_UP = f"The worker that had it ended, {TRIES} times."
_GO_ON = "Verdicts so far are kept; rerun the same command to resume."


def require_ray() -> None:
    """Raises MissingExtra where Ray Data is not installed."""
    if find_spec("ray") is None or find_spec("pandas") is None:
        raise MissingExtra("--engine ray", "ray")


@contextmanager
def start(
    spec: WorkerSpec,
    *,
    replicas: int | None = None,
    gpus: float | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Generator[RayEngine]:
    """Joins the Ray cluster of RAY_ADDRESS or of this machine, or starts one here, and opens a worker once.

    A cluster that it starts ends with the block, reports nothing to anyone and has no dashboard.

    Args:
        replicas: workers that compute at once; left out, as many as have a GPU, or one a machine.
        gpus: that each of them takes; left out, one if workers use GPUs and there are any.
        tell: called with a line before a step that takes long.

    Raises:
        JuratError: a worker cannot be opened, or the cluster lacks what it needs.
        MissingExtra: Ray is not installed.
    """
    require_ray()
    stop = connect()
    try:
        share = share_of(machines(), spec.uses_gpu, replicas, gpus)
        tell(what_comes(share))
        yield RayEngine(spec, share, _describe(spec, share))
    finally:
        stop()


class RayEngine:
    """Workers of a Ray cluster."""

    def __init__(self, spec: WorkerSpec, share: ClusterResources, described: Any) -> None:
        self.share = share
        self.described = described
        """What the workers are made of, as the first one describes it."""
        self.passed_over = PassedOver()
        """What the last pass found and is no item."""
        self._spec = spec

    def rows(
        self, job: Job, recorded: Callable[[], RecordedKeys], key: Key
    ) -> Generator[tuple[dict[str, Any], ...]]:
        """Rows as they come, in any order; each item once, whatever becomes of workers.

        Args:
            job: which items.
            recorded: tells which of them have a row already; asked again, after what was given out until
                then is recorded, if any was lost.
            key: identifies the item of a row.

        Raises:
            JuratError: what ended the run on a worker, or Ray lost items again and again.
        """
        seen = Occurrences()
        alone = replace(job, alone=True)
        passes = [job, alone, replace(alone, given_up=_GIVEN_UP)]
        in_vain = 0
        while passes:
            found, back = yield from self._pass(passes[0], recorded(), key, seen)
            if found is None:  # only the finder was lost; what came back until then is recorded
                in_vain = 0 if back else in_vain + 1
                if in_vain == TRIES:
                    raise JuratError("The worker that lists items ended repeatedly.", hint=_GO_ON)
            elif back >= found:
                return
            else:
                passes.pop(0)
        raise JuratError("Ray repeatedly lost results of its workers.", hint=_GO_ON)

    def _pass(
        self, job: Job, recorded: RecordedKeys, key: Key, seen: Occurrences
    ) -> Generator[tuple[dict[str, Any], ...], None, tuple[int | None, int]]:
        """Computes all unrecorded items; returns how many were found, if known, and how many came back."""
        found: int | None = None
        back = 0
        stop: StopReason | None = None
        answers = _answers(job, recorded, self._spec, self.share, self.described)
        try:
            for answer in answers:
                found = answer.found if found is None else found
                self.passed_over = answer.passed_over or self.passed_over
                stop = stop or answer.stop
                rows = tuple(row for row in answer.contents if not seen.next(key(row).hex()))
                back += len(rows)
                if rows:
                    yield rows
                if answer.stop is not None and answer.found is None:
                    break  # else no more was found, and what was is computed first
        finally:
            answers.close()
            # Ray ends a worker when nothing refers to it any more, and what it leaves behind refers to
            # itself: until that is collected the workers of the next pass would wait for their GPUs.
            gc.collect()
        if stop is not None:
            raise stop.error()
        return found, back


def _describe(spec: WorkerSpec, share: ClusterResources) -> Any:
    """Opens one worker and describes it. Raises JuratError if it cannot be opened."""
    import ray
    from ray.exceptions import RayError

    # Its process ends with it: the model is gone from the GPU before the workers come.
    open_once = ray.remote(num_cpus=WORKER_CPUS, num_gpus=share.gpus, max_calls=1, max_retries=1)(_opened)
    try:
        told = ray.get(open_once.remote(spec, os.getcwd(), share))
    except RayError as error:
        raise JuratError(
            f"The model cannot be opened on a worker: {first_line(error)}.",
            hint="Workers need jurat and its extras too, in the same versions.",
        ) from error
    if isinstance(told, StopReason):
        raise told.error()
    return told


def _opened(spec: WorkerSpec, folder: str, share: ClusterResources) -> Any:
    worker = _open(spec, folder, share)
    return worker if isinstance(worker, StopReason) else worker.describe()


def _open(spec: WorkerSpec, folder: str, share: ClusterResources) -> Worker | StopReason:
    steps.enter(folder)
    if share.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(share.threads)  # Ray has made it 1; torch is not imported yet
    if not share.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray hides only those that are someone's
    try:
        return spec.open()
    except Exception as error:
        return StopReason.of(error)


def _answers(
    job: Job, recorded: RecordedKeys, spec: WorkerSpec, share: ClusterResources, described: Any
) -> Generator[StepBatch[dict[str, Any]]]:
    """Results of the workers as they arrive."""
    import ray
    import ray.data
    from ray.data.exceptions import ExecutionTimeoutError
    from ray.exceptions import RayError
    from ray.util.annotations import RayDeprecationWarning

    _keep_quiet()
    asked, done = ray.put(job), ray.put(recorded)  # sent once a machine, not once a task
    # A block is a row; for workers with GPUs Ray wants it said in numbers.
    by_row: dict[str, Any] = {"batch_size": 1, "batch_format": "pyarrow"}
    with warnings.catch_warnings():
        # How often a task is tried can be said in this way only; the last Ray that takes it is 2.63.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        found = ray.data.read_datasource(
            _datasource(partial(_found, asked, done)),
            override_num_blocks=1,
            num_cpus=0,
            concurrency=1,
            ray_remote_args={"max_retries": TRIES - 1},
        )
        read = found.map_batches(
            partial(_loads, asked), num_cpus=READER_CPUS, max_retries=TRIES - 1, **by_row
        )
        computed = read.map_batches(
            _RayWorker,
            fn_constructor_args=(spec, job.folder, share, described),
            # Of two, one waits in the actor; if that dies it counts as a try of both.
            compute=ray.data.ActorPoolStrategy(
                size=share.replicas, max_tasks_in_flight_per_actor=1 if job.alone else 2
            ),
            num_cpus=WORKER_CPUS,
            num_gpus=share.gpus,
            max_restarts=-1,
            max_task_retries=TRIES - 1,
            **by_row,
        )
    try:
        for table in computed.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            yield from _unpacked(table)
    except (RayError, ExecutionTimeoutError) as error:
        raise JuratError(f"Ray gave up: {first_line(error)}.", hint=_GO_ON) from error


def _keep_quiet() -> None:
    """Sets what holds for data sets of this process: no bars, no advice; lost tasks do not end the whole."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.target_max_block_size = 1  # a block is never more than one row
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.issue_detectors_config.detectors = []
    context.custom_execution_callback_classes = [_forgetting()]
    warnings.filterwarnings("ignore", module=r"ray\.data\.")  # advice too
    for handler in logging.getLogger("ray.data").handlers:
        # Its own handler on the console: others may listen here too.
        if type(handler).__module__.startswith("ray._private"):
            handler.setLevel(logging.CRITICAL)


@lru_cache(maxsize=1)
def _forgetting() -> type[Any]:
    """What keeps Ray from holding on to figures about every block: a gigabyte for a million of them."""
    from ray.data._internal.execution.execution_callback import ExecutionCallback

    class Forgetting(ExecutionCallback):
        def on_execution_step(self, executor: Any) -> None:
            for operator in executor._topology:
                for figures in operator.get_stats().values():
                    del figures[:-1]

    return Forgetting


def _datasource(pages: Callable[[], Iterator[Any]]) -> Any:
    """A Ray data source of one task, which runs on the leading machine."""
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class Pages(Datasource):
        @property
        def supports_distributed_reads(self) -> bool:
            return False

        def estimate_inmemory_data_size(self) -> None:
            return None

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(pages, unknown)]

    return Pages()


@lru_cache(maxsize=4)
def _got(shared: Any) -> Any:
    import ray

    return ray.get(shared)


def _found(asked: Any, done: Any) -> Iterator[Any]:
    return map(_packed, steps.find(_got(asked), _got(done)))


def _loads(asked: Any, table: Any) -> Iterator[Any]:
    for items in _unpacked(table):
        yield from map(_packed, steps.read(items, _got(asked)))


class _RayWorker:
    """A worker in its own process."""

    def __init__(self, spec: WorkerSpec, folder: str, share: ClusterResources, expected: Any) -> None:
        self._worker = _open(spec, folder, share)
        if not isinstance(self._worker, StopReason) and (found := self._worker.describe()) != expected:
            self._worker = StopReason(
                JuratError,
                f"A worker opened another model than the first one did: {found}, not {expected}.",
                "All need the same weights and packages. Give --dtype if their GPUs differ.",
            )

    def __call__(self, table: Any) -> Iterator[Any]:
        for loads in _unpacked(table):
            worker = self._worker
            rows = (
                [StepBatch(stop=worker)] if isinstance(worker, StopReason) else steps.compute(loads, worker)
            )
            yield from map(_packed, rows)


def _packed(given: StepBatch[Any]) -> Any:
    """A table of one row."""
    import pyarrow as pa

    return pa.table({_CELL: pa.array([pickle.dumps(given, protocol=5)], pa.large_binary())})


def _unpacked(table: Any) -> Iterator[Any]:
    for cell in table[_CELL]:
        yield pickle.loads(cell.as_buffer())
