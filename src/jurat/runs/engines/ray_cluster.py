"""A Ray cluster: joining or starting one, and what workers get of it (extra `ray`)."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from jurat.errors import JuratError

Machine = Mapping[str, float]
"""What a machine has, as Ray counts it: CPU, GPU, memory."""


@dataclass(frozen=True)
class ClusterResources:
    """Cluster resources of the workers."""

    replicas: int
    """Workers that compute at once."""
    gpus: float
    """GPUs of each of them."""
    threads: int | None
    """Threads of a worker that computes on processors; None for one that has GPUs."""


def connect() -> Callable[[], None]:
    """Joins or starts a cluster; returns a function that leaves or stops it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray would have its workers, which do all the work here, give way to everyone else on the machine.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what it logs of its own would come in between
    import ray

    if ray.is_initialized():
        return lambda: None
    heeding = signal.getsignal(signal.SIGTERM)
    try:
        _check_there()
        with _hushed():
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of a machine that is too busy Ray says so by a bare one
        raise JuratError(
            f"There is no Ray cluster to work on: {first_line(error)}.",
            hint="RAY_ADDRESS names one, as HOST:PORT, and RAY_AUTH_MODE=token where it asks for a token; "
            "RAY_ADDRESS=local starts one on this machine.",
        ) from error

    def stop() -> None:
        ray.shutdown()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, heeding)  # Ray has put its own in its place

    return stop


def _check_there() -> None:
    """Raises OSError if no server answers at the address that Ray would join; Ray would wait for minutes, and
    then end the process. Raises ValueError for an address that no data sets can be sent through."""
    import socket

    from ray._private.services import canonicalize_bootstrap_address

    given = os.environ.get("RAY_ADDRESS")
    if given is not None and "://" in given:
        raise ValueError(f"{given} is that of a Ray client")
    address = cast("Callable[[str | None], str | None]", canonicalize_bootstrap_address)(None)
    if address is None:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise OSError(f"no server answers at {address} ({error.strerror or error})") from error


@contextmanager
def _hushed() -> Generator[None]:
    """Suppresses what Ray's native libraries write to standard error."""
    try:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is none
        yield
        return
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def machines() -> list[Machine]:
    """Resources of each machine of the cluster."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def share_of(
    machines: Sequence[Machine], uses_gpu: bool, replicas: int | None, gpus: float | None
) -> ClusterResources:
    """Resources for the workers. Raises JuratError if no machine has enough for one of them."""
    cards = [int(machine.get("GPU", 0)) for machine in machines]
    if gpus is None:
        gpus = 1.0 if any(cards) and uses_gpu else 0.0
    if gpus > 1 and gpus % 1:
        raise JuratError(f"--gpus is a part of one GPU or a whole number of them, not {gpus:g}.")
    if gpus:
        room = sum(int(count / gpus) if gpus >= 1 else count * int(1 / gpus + 1e-6) for count in cards)
        if not room:
            raise JuratError(
                f"Each worker takes {gpus:g} GPUs, and no machine of the cluster has that many.",
                hint="Use --gpus 0 to compute on CPUs, or start machines with GPUs first.",
            )
        return ClusterResources(replicas or room, gpus, None)
    cores = [int(machine["CPU"]) for machine in machines if machine.get("CPU", 0) >= 1] or [1]
    replicas = replicas or len(cores)
    if "OMP_NUM_THREADS" in os.environ:
        return ClusterResources(replicas, 0.0, int(os.environ["OMP_NUM_THREADS"].split(",")[0]))
    return ClusterResources(replicas, 0.0, max(1, min(cores) // math.ceil(replicas / len(cores))))


def what_comes(share: ClusterResources) -> str:
    """Message about what the first worker does before any row is computed."""
    import ray

    if share.gpus > ray.available_resources().get("GPU", 0.0):
        return "waiting for a GPU of the cluster: all are taken"
    return "opening the model on a worker"


def first_line(error: Exception) -> str:
    """First line of an error's message."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
