"""Continuous batching: completions begin and end between any two tokens of the others.

    batch = ContinuousBatch(model, max_rows=64)
    asked = batch.submit(prompt_ids, rows, each_step=True)    # rows that share their prompt
    async for _ in steps([asked]):                            # whenever one of the rows got a token
        ...

A thread of its own computes. A prompt is computed once for all its rows, in pieces, between the steps of what is running,
so that nobody waits for somebody else's long prompt; prompts that wait together are computed together.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ded_ray.models.key_values import SPARE_COLUMNS, CausalModel, KeyValues, places_without
from ded_ray.models.sampling import Row, add_next_tokens

PREFILL_TOKENS = 1024
"""Prompt tokens, padding included, that are computed between two steps of the running rows."""

STEPS_BETWEEN_PROMPTS = 2
"""Steps of the running rows before others may join: prompts that come meanwhile are computed together, which costs little
more than one alone."""


class Asked:
    """A prompt and its rows. Made by `ContinuousBatch.submit`; belongs to the event loop that it was made in."""

    def __init__(self, prompt: list[int], rows: Sequence[Row], stepped: asyncio.Event, *, each_step: bool) -> None:
        self.prompt, self.rows, self.each_step = prompt, list(rows), each_step
        self.error: Exception | None = None
        self.loop, self.stepped = asyncio.get_running_loop(), stepped

    @property
    def is_finished(self) -> bool:
        return all(row.finish_reason is not None for row in self.rows)

    def cancel(self) -> None:
        """Compute nothing more for it. Safe from any thread."""
        for row in self.rows:
            row.finish_reason = row.finish_reason or "cancelled"


async def steps(asked: Sequence[Asked]) -> AsyncGenerator[None, None]:
    """Yields whenever one of them got a token, or is finished; they share their event. Ends when all are finished; cancels
    them when it is left before. Raises what the model raised."""
    try:
        is_over = False
        while not is_over:
            is_over = all(one.is_finished for one in asked)
            if not is_over:
                await asked[0].stepped.wait()
                asked[0].stepped.clear()
            errors = [one.error for one in asked if one.error is not None]
            yield  # once more after the end, and before an error: what came since the last look is not lost
            if errors:
                raise errors[0]
    finally:
        for one in asked:
            one.cancel()


@dataclass(frozen=True)
class Waiting:
    """Rows with the same tokens so far: all rows of a request that is new, or one that had to make room for others."""

    asked: Asked
    rows: list[Row]
    is_retried: bool = False  # what it was computed with has failed; it shares its prefill with nobody now

    @property
    def ids(self) -> list[int]:
        return self.asked.prompt + self.rows[0].tokens


class Prefill:
    """What is computed before rows can go on: prompts of different requests together, a piece at a time."""

    def __init__(self, coming: list[Waiting], key_values: KeyValues, model: CausalModel) -> None:
        self.coming, self.key_values, self._model = coming, key_values, model
        prompts = [waiting.ids for waiting in coming]
        self._num_columns = max(map(len, prompts))
        paddings = [self._num_columns - len(ids) for ids in prompts]
        padded = [[0] * padding + ids for padding, ids in zip(paddings, prompts, strict=True)]
        self._ids_BT = torch.tensor(padded, device=model.device)
        self._is_token_BT = torch.arange(self._num_columns)[None] >= torch.tensor(paddings)[:, None]
        self._is_token_BT = self._is_token_BT.to(model.device)
        self._num_done = 0

    def step(self) -> torch.Tensor | None:
        """Compute a piece. After the last one: logits of each prompt's next token, of shape (prompts, V)."""
        piece = max(1, PREFILL_TOKENS // len(self.coming)) if self.key_values.pads else self._num_columns
        start, self._num_done = self._num_done, min(self._num_columns, self._num_done + piece)
        logits_BV = self._model(
            self._ids_BT[:, start : self._num_done], self._is_token_BT[:, : self._num_done], self.key_values
        )
        return logits_BV if self._num_done == self._num_columns else None


class ContinuousBatch:
    """`model` is a causal language model of transformers, `max_rows` the most completions that are computed at once, and
    `max_bytes` what their keys and values may take, unless a single one needs more.

    Raises ValueError for a model that cannot be computed so.
    """

    def __init__(self, model: Any, *, max_rows: int, max_bytes: float) -> None:
        self._model, self._max_rows, self._max_bytes = CausalModel(model), max_rows, max_bytes
        self._waiting, self._arrived = deque[Waiting](), threading.Condition()
        self._coming: list[Waiting] = []  # whose prompts are computed now
        self._prefill: Prefill | None = None
        self._running: list[tuple[Asked, Row]] = []
        self._steps_since_prompts = 0
        self._key_values = self._none_yet()
        threading.Thread(target=self._run, daemon=True, name="continuous batch").start()

    def _none_yet(self) -> KeyValues:
        return KeyValues(self._model.config)

    def submit(
        self, prompt: list[int], rows: Sequence[Row], *, stepped: asyncio.Event | None = None, each_step: bool = False
    ) -> Asked:
        """Have these rows computed for a prompt of at least one token. `stepped` is set when all are finished, with
        `each_step` whenever one got a token.

        To be called in the event loop in which that is waited for.
        """
        asked = Asked(prompt, rows, stepped or asyncio.Event(), each_step=each_step)
        with self._arrived:
            self._waiting.append(Waiting(asked, asked.rows))
            self._arrived.notify()
        return asked

    @property
    def num_running(self) -> int:
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        return sum(len(waiting.rows) for waiting in list(self._waiting))

    def _run(self) -> None:
        while True:
            with self._arrived:
                while not (self._waiting or self._prefill or self._running):
                    self._arrived.wait()
            stepped: list[Asked] = []
            try:
                with torch.inference_mode():
                    self._step(stepped)
            except Exception as error:  # the boundary: whoever waits for a token must learn that none will come
                failed = [*self._coming, *(Waiting(asked, [row]) for asked, row in self._running)]
                self._running, self._key_values = [], self._none_yet()
                stepped += self._retry(failed, error)
            _wake(stepped)

    def _retry(self, failed: list[Waiting], error: Exception) -> list[Asked]:
        """Compute again, each on its own, what failed together; what was on its own learns why. So nobody fails for another
        one's sake, and it ends: whoever does not fail has a token more. Returns whom it concerns."""
        self._coming, self._prefill = [], None
        if len(failed) > 1:
            self._waiting.extendleft(replace(waiting, is_retried=True) for waiting in reversed(failed))
        for waiting in failed if len(failed) == 1 else ():
            waiting.asked.error = error
        return [waiting.asked for waiting in failed]

    def _step(self, stepped: list[Asked]) -> None:
        """A piece of the prompts that come next, and one token of every running row. Adds who got one to `stepped`."""
        may_join = not self._running or self._steps_since_prompts >= STEPS_BETWEEN_PROMPTS
        if self._prefill is None and may_join and (coming := self._next_to_come()):
            self._coming = coming
            self._prefill = Prefill(coming, self._none_yet(), self._model)
        if self._prefill:
            try:
                logits_BV = self._prefill.step()
            except Exception as error:  # the boundary: nothing that is running was touched
                stepped += self._retry(self._coming, error)
                return
            stepped += self._join(self._prefill, logits_BV) if logits_BV is not None else []
        self._drop_finished()
        self._make_room()
        if self._running:
            stepped += self._decode()
            self._steps_since_prompts += 1
            self._drop_finished()

    def _next_to_come(self) -> list[Waiting]:
        """Who waits longest, as many as there is room for."""
        coming: list[Waiting] = []
        num_rows, longest = len(self._running), self._num_columns
        while self._waiting:
            first = self._waiting[0]
            rows = [row for row in first.rows if row.finish_reason is None]
            if not rows:  # cancelled while it waited
                self._waiting.popleft()
                continue
            num_rows, longest = num_rows + len(rows), max(longest, len(first.ids) + SPARE_COLUMNS)
            if (coming or self._running) and (num_rows > self._max_rows or self._is_too_much(num_rows, longest)):
                break
            widest = max(len(waiting.ids) for waiting in [*coming, first])
            if coming and not (self._key_values.pads and (len(coming) + 1) * widest <= PREFILL_TOKENS):
                break
            if coming and (first.is_retried or coming[0].is_retried):
                break
            self._waiting.popleft()
            coming.append(replace(first, rows=rows))
        return coming

    def _is_too_much(self, num_rows: int, num_columns: int) -> bool:
        return num_rows * num_columns * self._key_values.bytes_per_token > self._max_bytes

    @property
    def _num_columns(self) -> int:
        return max((_length(*place) for place in self._running), default=0)

    def _join(self, prefill: Prefill, logits_BV: torch.Tensor) -> list[Asked]:
        """Rows whose prompts are computed take their places beside the running ones, with their first token."""
        places = [i for i, waiting in enumerate(prefill.coming) for _ in waiting.rows]
        joining = [(waiting.asked, row) for waiting in prefill.coming for row in waiting.rows]
        self._key_values.join(prefill.key_values, places)
        self._running += joining
        self._coming, self._prefill, self._steps_since_prompts = [], None, 0
        add_next_tokens(logits_BV[places], [row for _, row in joining])
        return [asked for asked, _ in joining]

    def _drop_finished(self) -> None:
        self._drop([i for i, (_, row) in enumerate(self._running) if row.finish_reason is not None])

    def _make_room(self) -> None:
        """Rows with the least tokens make room when all have grown too much; they are computed again later."""
        while len(self._running) > 1 and self._is_too_much(len(self._running), self._num_columns):
            least = min(range(len(self._running)), key=lambda i: len(self._running[i][1].tokens))
            asked, row = self._running[least]
            self._drop([least])
            self._waiting.appendleft(Waiting(asked, [row]))

    def _drop(self, rows: list[int]) -> None:
        if not rows:
            return
        places = places_without(set(rows), len(self._running))
        self._running = [self._running[i] for i in places]
        if places:
            self._key_values.keep(places, self._num_columns)
        else:
            self._key_values = self._none_yet()

    def _decode(self) -> list[Asked]:
        """One more token of every running row."""
        rows = [row for _, row in self._running]
        newest_B1 = torch.tensor([row.tokens[-1:] for row in rows], device=self._model.device)
        lengths_B = torch.tensor([_length(*place) for place in self._running])
        num_columns = int(lengths_B.max()) + 1
        is_token_BT = torch.arange(num_columns)[None] >= num_columns - 1 - lengths_B[:, None]
        logits_BV = self._model(newest_B1, is_token_BT.to(self._model.device), self._key_values)
        add_next_tokens(logits_BV, rows)
        return [asked for asked, _ in self._running]


def _length(asked: Asked, row: Row) -> int:
    """Tokens of a running row whose keys and values are known: all but the newest."""
    return len(asked.prompt) + len(row.tokens) - 1


def _wake(stepped: Sequence[Asked]) -> None:
    """Tell the event loops, each once."""
    by_loop: dict[asyncio.AbstractEventLoop, set[asyncio.Event]] = {}
    for asked in set(stepped):
        if asked.each_step or asked.is_finished or asked.error:
            by_loop.setdefault(asked.loop, set()).add(asked.stepped)
    for loop, events in by_loop.items():
        try:
            loop.call_soon_threadsafe(lambda events=events: [event.set() for event in events])  # type: ignore[misc]
        except RuntimeError:  # the loop is closed: nobody waits any more
            for asked in stepped:
                if asked.loop is loop:
                    asked.cancel()
