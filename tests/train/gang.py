"""A few gloo workers in processes of their own, without Ray around them."""

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def gang(function: Callable[..., Any], *arguments: Any, num_workers: int = 2) -> list[Any]:
    """What `function(rank, *arguments)` returns in each worker. It must be importable, and return what torch can save."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_worker, (function, arguments, num_workers, port, folder), num_workers)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(num_workers)]


def _worker(rank: int, function: Callable[..., Any], arguments: Any, num_workers: int, port: int, folder: str) -> None:
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_workers, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in places.items()}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=num_workers)
    torch.save(function(rank, *arguments), Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()
