"""Judging on the workers of a Ray cluster (extra `ray`).

    with start(spec) as engine:
        for rows in engine.judge(wanted, recorded):
            ...

The steps of `jurat.judge.engines.steps` run on Ray Data: one task finds items, on the machine that leads;
tasks on processors read and decode them; actors, each with a judge of its own that is built from its spec,
judge. A judge takes a whole GPU where there are some, and next to nothing of a processor, so that readers
never starve; a reader takes half a processor, since half of its time it waits for storage. Ray holds back
the readers when decoded images fill its object store.

A row of the Ray data set is one page, one parcel or the rows of one batch, pickled: so images are judged
together as they were read, and Ray has few things to keep account of where there are many images. Ray runs a
task again when its worker dies. What was lost even so is judged once more, each item by itself; one that
takes its worker down thrice becomes an error row. An item that comes back twice counts once.
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
from jurat.judge.engines import steps as bulk
from jurat.judge.engines.ray_cluster import Share, connect, first_line, machines, share_of, what_comes
from jurat.judge.engines.steps import Page, Parcel, Rows, Stop, Wanted
from jurat.judge.judge import Judge
from jurat.judge.spec import Described, JudgeSpec
from jurat.runs.recorded_items import Occurrences, Recorded
from jurat.sources.passed_over import PassedOver

READER_CPUS, JUDGE_CPUS = 0.5, 0.01
TRIES = 3
"""Of what a worker has in hand when it dies."""
_CELL = "pickled"
_GIVEN_UP = f"The worker that had it ended, {TRIES} times."
_GO_ON = "What was judged until then is kept; the same command goes on with the rest."


def require_ray() -> None:
    """Raises MissingExtra where Ray Data is not installed."""
    if find_spec("ray") is None or find_spec("pandas") is None:
        raise MissingExtra("--engine ray", "ray")


@contextmanager
def start(
    spec: JudgeSpec,
    *,
    replicas: int | None = None,
    gpus: float | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Generator[RayEngine]:
    """Joins the Ray cluster of RAY_ADDRESS or of this machine, or starts one here, and opens the judge once.

    A cluster that it starts ends with the block, reports nothing to anyone and has no dashboard.

    Args:
        replicas: judges at work at once; left out, as many as have a GPU, or one a machine.
        gpus: that each of them takes; left out, one if the model computes on the workers and there are any.
        tell: is told what takes long.

    Raises:
        JuratError: the judge cannot be opened on a worker, or the cluster lacks what it needs.
        MissingExtra: Ray is not installed.
    """
    require_ray()
    stop = connect()
    try:
        share = share_of(machines(), spec, replicas, gpus)
        tell(what_comes(share))
        yield RayEngine(spec, share, _describe(spec, share))
    finally:
        stop()


class RayEngine:
    """Workers of a Ray cluster that judge."""

    def __init__(self, spec: JudgeSpec, share: Share, described: Described) -> None:
        self.share = share
        self.described = described
        """What the judges are made of."""
        self.passed_over = PassedOver()
        """What the last pass found and is no item."""
        self._spec = spec

    def judge(
        self, wanted: Wanted, recorded: Callable[[], Recorded]
    ) -> Generator[tuple[dict[str, Any], ...]]:
        """Rows of verdicts as they come, in any order; each item once, whatever becomes of workers.

        Args:
            wanted: which items.
            recorded: tells which of them have a row already; asked again, after what was given out until
                then is recorded, if any was lost.

        Raises:
            JuratError: what ended the run on a worker, or Ray lost items again and again.
        """
        seen = Occurrences()
        alone = replace(wanted, alone=True)
        steps = [wanted, alone, replace(alone, given_up=_GIVEN_UP)]
        in_vain = 0
        while steps:
            found, back = yield from self._pass(steps[0], recorded(), seen)
            if found is None:  # only the finder was lost; what came back until then is recorded
                in_vain = 0 if back else in_vain + 1
                if in_vain == TRIES:
                    raise JuratError("The worker that finds items ended, again and again.", hint=_GO_ON)
            elif back >= found:
                return
            else:
                steps.pop(0)
        raise JuratError("Ray lost what its workers gave back, again and again.", hint=_GO_ON)

    def _pass(
        self, wanted: Wanted, recorded: Recorded, seen: Occurrences
    ) -> Generator[tuple[dict[str, Any], ...], None, tuple[int | None, int]]:
        """Judges all that is not recorded; how many items were found, if that is known, and how many came
        back."""
        found: int | None = None
        back = 0
        stop: Stop | None = None
        answers = _answers(wanted, recorded, self._spec, self.share, self.described)
        try:
            for answer in answers:
                found = answer.found if found is None else found
                self.passed_over = answer.passed_over or self.passed_over
                stop = stop or answer.stop
                rows = tuple(row for row in answer.rows if not seen.next(f"{row['occurrence']} {row['id']}"))
                back += len(rows)
                if rows:
                    yield rows
                if answer.stop is not None and answer.found is None:
                    break  # else no more was found, and what was is judged first
        finally:
            answers.close()
            # Ray ends a judge when nothing refers to it any more, and what it leaves behind refers to itself:
            # until that is collected the judges of the next pass would wait for their GPUs.
            gc.collect()
        if stop is not None:
            raise stop.error()
        return found, back


def _describe(spec: JudgeSpec, share: Share) -> Described:
    """Opens the judge on a worker like those to come; what it is made of, or why it cannot be opened."""
    import ray
    from ray.exceptions import RayError

    # Its worker ends with it: the model is gone from the GPU before the judges come.
    open_once = ray.remote(num_cpus=JUDGE_CPUS, num_gpus=share.gpus, max_calls=1, max_retries=1)(_opened)
    try:
        told = ray.get(open_once.remote(spec, os.getcwd(), share))
    except RayError as error:
        raise JuratError(
            f"The model cannot be opened on a worker: {first_line(error)}.",
            hint="Workers need jurat and its extras too, in the same versions.",
        ) from error
    if isinstance(told, Stop):
        raise told.error()
    return told


def _opened(spec: JudgeSpec, folder: str, share: Share) -> Described | Stop:
    judge = _open(spec, folder, share)
    return judge if isinstance(judge, Stop) else Described.of(judge)


def _open(spec: JudgeSpec, folder: str, share: Share) -> Judge | Stop:
    bulk.enter(folder)
    if share.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(share.threads)  # Ray has made it 1; torch is not imported yet
    if not share.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray hides only those that are someone's
    try:
        return spec.open()
    except Exception as error:
        return Stop.of(error)


def _answers(
    wanted: Wanted, recorded: Recorded, spec: JudgeSpec, share: Share, described: Described
) -> Generator[Rows]:
    """What the judges say, as it comes."""
    import ray
    import ray.data
    from ray.data.exceptions import ExecutionTimeoutError
    from ray.exceptions import RayError
    from ray.util.annotations import RayDeprecationWarning

    _keep_quiet()
    asked, done = ray.put(wanted), ray.put(recorded)  # sent once a machine, not once a task
    # A block is a row; for judges with GPUs Ray wants it said in numbers.
    by_row: dict[str, Any] = {"batch_size": 1, "batch_format": "pyarrow"}
    with warnings.catch_warnings():
        # How often a task is tried can be said in this way only; the last Ray that takes it is 2.63.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        found = ray.data.read_datasource(
            _datasource(partial(_pages, asked, done)),
            override_num_blocks=1,
            num_cpus=0,
            concurrency=1,
            ray_remote_args={"max_retries": TRIES - 1},
        )
        read = found.map_batches(
            partial(_parcels, asked), num_cpus=READER_CPUS, max_retries=TRIES - 1, **by_row
        )
        judged = read.map_batches(
            _JudgeOnWorker,
            fn_constructor_args=(spec, wanted.folder, share, described),
            # Of two, one waits in the actor; if that dies it counts as a try of both.
            compute=ray.data.ActorPoolStrategy(
                size=share.replicas, max_tasks_in_flight_per_actor=1 if wanted.alone else 2
            ),
            num_cpus=JUDGE_CPUS,
            num_gpus=share.gpus,
            max_restarts=-1,
            max_task_retries=TRIES - 1,
            **by_row,
        )
    try:
        for table in judged.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
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
    """A source of one task, which runs on the machine that leads."""
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


def _pages(asked: Any, done: Any) -> Iterator[Any]:
    return map(_packed, bulk.find_pages(_got(asked), _got(done)))


def _parcels(asked: Any, table: Any) -> Iterator[Any]:
    for page in _unpacked(table):
        yield from map(_packed, bulk.read_page(page, _got(asked)))


class _JudgeOnWorker:
    """A judge in a process of its own."""

    def __init__(self, spec: JudgeSpec, folder: str, share: Share, expected: Described) -> None:
        self._judge = _open(spec, folder, share)
        if isinstance(self._judge, Judge) and (found := Described.of(self._judge)) != expected:
            self._judge = Stop(
                "wrong",
                f"A worker opened another model than the first one did: {found}, not {expected}.",
                "All need the same weights and packages. --dtype has them compute alike on unlike GPUs.",
            )

    def __call__(self, table: Any) -> Iterator[Any]:
        for parcel in _unpacked(table):
            judge = self._judge
            said = [Rows(stop=judge)] if isinstance(judge, Stop) else bulk.judge_parcel(parcel, judge)
            yield from map(_packed, said)


def _packed(said: Page | Parcel | Rows) -> Any:
    """A table of one row."""
    import pyarrow as pa

    return pa.table({_CELL: pa.array([pickle.dumps(said, protocol=5)], pa.large_binary())})


def _unpacked(table: Any) -> Iterator[Any]:
    for cell in table[_CELL]:
        yield pickle.loads(cell.as_buffer())
