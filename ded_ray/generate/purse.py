"""What an endpoint has cost so far, kept in a file, and a cap that is never exceeded, kills included."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from ded_ray.knobs import Stopped
from ded_ray.recipe import OpenAIEngine


@dataclass(slots=True)
class Cost:
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


@dataclass(slots=True, eq=False)
class Envelope:
    """What one group may cost, and what it did."""

    reserved: Cost
    spent: Cost
    waiting: bool = False


class Purse:
    """Spends under `max_usd` and `max_tokens_spent`. What `file` says was spent by earlier runs counts.

    The file has a line for each request before it is sent, with the most that it can cost, and one after it with what it did
    cost; of a request that a kill cut off only the first is there, and counts.
    """

    def __init__(self, knobs: OpenAIEngine, file: Path) -> None:
        self._knobs, self._file = knobs, file
        self.spent = sum(read_costs(file).values(), Cost())
        self._open: list[Envelope] = []
        self._changed = asyncio.Condition()

    def usd(self, cost: Cost) -> float:
        prompt, completion = self._knobs.usd_per_million_prompt_tokens, self._knobs.usd_per_million_completion_tokens
        return ((prompt or 0) * cost.prompt_tokens + (completion or 0) * cost.completion_tokens) / 1e6

    @asynccontextmanager
    async def envelope(self, at_most: Cost) -> AsyncIterator[Envelope]:
        """Set so much aside while the block runs; it adds to `spent` what it did cost. Raises Stopped, see `reserve`."""
        envelope = Envelope(Cost(), Cost())
        await self.reserve(envelope, at_most)
        try:
            yield envelope
        finally:
            self._open.remove(envelope)
            self.spent += envelope.spent
            async with self._changed:
                self._changed.notify_all()

    async def reserve(self, envelope: Envelope, more: Cost) -> None:
        """See that `more` can be spent from it, whatever all others turn out to cost; waits for them where need be.

        Raises Stopped when it cannot even so, or when all others wait as well.
        """
        async with self._changed:
            while not self._fits(envelope.spent + more, envelope):
                if all(other is envelope or other.waiting for other in self._open):
                    spent = f"{self.spent.tokens} tokens ({self.usd(self.spent):.2f} USD) are spent"
                    raise Stopped(
                        f"{spent}, and the next group may exceed the cap; raise engine.max_tokens_spent or max_usd"
                    )
                envelope.waiting = True
                try:
                    await self._changed.wait()
                finally:
                    envelope.waiting = False
            envelope.reserved = envelope.spent + more
            if envelope not in self._open:
                self._open.append(envelope)

    def _fits(self, reserved: Cost, envelope: Envelope) -> bool:
        others = sum((other.reserved for other in self._open if other is not envelope), Cost())
        total = self.spent + others + reserved
        return (total.tokens <= (self._knobs.max_tokens_spent or total.tokens)
                and self.usd(total) <= (self._knobs.max_usd or self.usd(total)))  # fmt: skip

    def open_bill(self, at_most: Cost) -> str:
        """Before a request is sent; returns what `settle_bill` is to be told."""
        name = uuid4().hex
        self._write(name, at_most)
        return name

    def settle_bill(self, envelope: Envelope, name: str, cost: Cost) -> None:
        envelope.spent += cost
        self._write(name, cost)

    def _write(self, name: str, cost: Cost) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps({"request": name, **asdict(cost)}) + "\n")


def read_costs(file: Path) -> dict[str, Cost]:
    """The last word on every request's cost; a line that a kill cut off is left out: its request was not sent, or its first
    line counts."""
    costs: dict[str, Cost] = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            row: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            continue
        name = row.pop("request")
        costs[name] = Cost(**row)
    return costs
