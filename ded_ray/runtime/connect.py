"""Joins or starts Ray, without Ray's noise."""

import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ded_ray.errors import Stopped
from ded_ray.recipe import Recipe
from ded_ray.runtime.needs import cpus_needed

LISTEN_SECONDS = 20

MIN_LOGICAL_CPUS = 8
"""Least number of logical CPUs of a Ray that is started here. All operators of a streaming plan run at once and need a
logical CPU each; with fewer the plan deadlocks."""


def start_ray(recipe: Recipe | None = None, num_cpus: float = 0) -> None:
    """Join the cluster that RAY_ADDRESS names (a submitted job has it set), else start Ray on this machine. Idempotent.

    A Ray that is started here has as many logical CPUs as the recipe, or `num_cpus`, asks for.
    """
    # Ray Train looks at its workers, and takes their reports, once per interval; the default of 2 s is long for a laptop.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(MIN_LOGICAL_CPUS))
    # A process that waits for work is kept from stage to stage, with all that it has imported: else every stage begins with
    # a dozen processes that import the same for seconds.
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "600000")
    import ray

    if ray.is_initialized():
        return
    local: dict[str, Any] = {}
    if address := os.environ.get("RAY_ADDRESS"):
        _check_that_somebody_listens(address)
    else:
        needed = math.ceil(cpus_needed(recipe) if recipe else num_cpus)
        logical_cpus = max(MIN_LOGICAL_CPUS, os.cpu_count() or 1, needed)
        local = {"address": "local", "num_cpus": logical_cpus, "include_dashboard": False}
    try:
        with _stderr_closed(), _sigterm_kept():  # Ray's core writes to stderr before its log level is known
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **local)
    except ray.exceptions.AuthenticationError as error:
        raise Stopped(
            "this Ray cluster wants a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the cluster's"
        ) from error
    except Exception as error:
        if "timed out during startup" not in str(error):  # Ray raises a plain Exception, after half a minute
            raise
        raise Stopped("Ray could not start within 30 s: this machine is too busy; wait, or set RAY_ADDRESS") from error
    quieten()


def _check_that_somebody_listens(address: str) -> None:
    """Ray would try for minutes, without a word. Other forms than HOST:PORT are left to it."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or set(host) & set("/["):
        return
    try:
        socket.create_connection((host, int(port)), LISTEN_SECONDS).close()
    except OSError as error:
        raise Stopped(f"RAY_ADDRESS={address}: no Ray answers there ({error}); start one, or unset it") from error


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself, and answers it with a stack of its core's: whoever handled it before does again."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _stderr_closed() -> Iterator[None]:
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def quieten() -> None:
    """Send the logs of Ray's libraries to Ray's session folder only, and set what every plan of a run shares.

    The terminal belongs to the run's own progress.
    """
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # The memory detector calls `ray_remote_args_fn` again and again: each call would reserve GPUs for nobody.
    context.issue_detectors_config.detectors = []
    context.use_datasource_v2 = False  # its Parquet reader takes 4 to 6 s to begin on two cores (2.60), the other 0.1 s
    context.memory_usage_poll_interval_s = None  # else a thread of every task in flight measures its process each second
    import ray.serve
    import ray.train  # noqa: F401  (importing them sets their log levels: it must have happened before)

    for name in ("ray", "ray.train", "ray.serve", "httpx", "httpx2", "openai"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it logs as an error it also raises
