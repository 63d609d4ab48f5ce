"""The curve for TensorBoard, written by whoever adds to it.

tensorboardX's own `SummaryWriter` has a thread that writes. On a full disk that thread ends, and whoever adds more waits for
it for ever.
"""

import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar


class Board:
    """A file of events. What earlier files say of `first_step` and later ones no longer counts."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._events = EventsWriter(str(folder / "events"))
        self._add(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def add(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._add(Event(step=step, summary=scalar(f"train/{name}", value)))

    def flush(self) -> None:
        self._events.flush()

    def close(self) -> None:
        self._events.close()

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._events.write_event(event)
