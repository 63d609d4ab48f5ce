"""A lease on a folder: one driver at a time writes a run.

    with lease(folder):
        ...

The holder renews a small file; a file that nobody renews belongs to a driver that is gone. Of this machine we know at
once whether its process lives, of another one after we have watched the file for as long as a lease lasts.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import psutil

from ded_ray.errors import Stopped
from ded_ray.files.folders import is_local, read_whole
from ded_ray.files.parts import write_atomically
from ded_ray.files.store_errors import storage_errors

LEASE_SECONDS, RENEW_SECONDS = 60.0, 10.0
"""Six renewals may fail, or be late, before somebody else may take a run over."""

LEASE_FILE = ".lease.json"


@contextmanager
def lease(folder: Path) -> Iterator[None]:
    """Hold the folder while the block runs. Raises Stopped when another driver holds it, or takes it over meanwhile."""
    held, lost, over = _take(folder / LEASE_FILE), threading.Event(), threading.Event()
    renewal = threading.Thread(target=_renew, args=(folder / LEASE_FILE, held, lost, over), daemon=True)
    renewal.start()
    try:
        yield
    except KeyboardInterrupt:
        if lost.is_set():
            with storage_errors(folder, Stopped):
                holder = _holder(_read(folder / LEASE_FILE))
            raise Stopped(f"{folder}: {holder} has taken this run over") from None
        raise
    finally:
        over.set()
        renewal.join()
        if not lost.is_set():
            with suppress(OSError, Stopped), storage_errors(folder, Stopped):  # what cannot be deleted runs out by itself
                (folder / LEASE_FILE).unlink(missing_ok=True)


def _take(path: Path) -> dict[str, Any]:
    """Write our name where no other is, or where the other one is gone."""
    process = psutil.Process()
    ours = {
        "token": uuid.uuid4().hex, "host": socket.gethostname(), "pid": process.pid, "started": process.create_time(),
        "since": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "renewed": time.time(),
    }  # fmt: skip
    if _create(path, ours):
        return ours
    other = _read(path)
    if not _is_gone(path, other):
        raise Stopped(f"{path.parent}: {_holder(other)} is working on this run; wait for it, or stop it")
    path.unlink(missing_ok=True)
    if not _create(path, ours):
        raise Stopped(f"{path.parent}: {_holder(_read(path))} has just taken this run over")
    return ours


def _create(path: Path, content: dict[str, Any]) -> bool:
    """Whether the file was not there; then it is ours. Of two who try at the same time one succeeds."""
    text = json.dumps(content)
    try:
        if is_local(path):
            with path.open("x") as file:
                file.write(text)
        else:
            store: Any = cast(Any, path)
            store.fs.pipe_file(store.path, text.encode(), mode="create")  # put if absent
    except FileExistsError:
        return False
    return _read(path).get("token") == content["token"]  # a store that does not know "if absent" keeps the last one


def _is_gone(path: Path, other: dict[str, Any]) -> bool:
    """Whether the holder has ended without a word."""
    if other.get("host") == socket.gethostname():
        return not _lives(other.get("pid", 0), other.get("started", 0))
    print(f"{path.parent}: {_holder(other)} worked on this run; looking whether it still does", file=sys.stderr)
    deadline = time.monotonic() + LEASE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(RENEW_SECONDS / 4)
        if not (now := _read(path)):
            return True
        if now != other:
            return False
    return True


def _lives(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:  # killed, and whoever started it has not asked yet
            return False
        return abs(process.create_time() - started) < 1  # another process may have its number by now
    except psutil.NoSuchProcess:
        return False


def _renew(path: Path, held: dict[str, Any], lost: threading.Event, over: threading.Event) -> None:
    """Say that we are there, until it is over. Ends the run when the file is no longer ours, or when it could not be
    renewed for so long that others must think that we are gone."""
    renewed = time.monotonic()
    while not over.wait(RENEW_SECONDS):
        try:
            with storage_errors(path.parent, Stopped):
                now = _read(path)
                if is_ours := now.get("token") == held["token"]:
                    write_atomically(path, json.dumps(held | {"renewed": time.time()}))
                elif not now:  # somebody has tidied up
                    is_ours = _create(path, held)
            is_lost, renewed = not is_ours, time.monotonic()
        except (OSError, Stopped):  # the storage is not there for a moment
            is_lost = time.monotonic() - renewed > LEASE_SECONDS
        if is_lost:
            lost.set()
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _read(path: Path) -> dict[str, Any]:
    """{} when there is none."""
    try:
        return json.loads(read_whole(path))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _holder(content: dict[str, Any]) -> str:
    where = f"process {content.get('pid', '?')} of {content.get('host', 'an unknown machine')}"
    return f"{where}, since {content.get('since', '?')}"
