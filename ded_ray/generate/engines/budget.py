"""What an endpoint has cost so far, kept in a file, and a cap that is never exceeded, kills included."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from ded_ray.errors import Stopped
from ded_ray.files.lines import append_line, read_lines
from ded_ray.recipe import OpenAIEngine
from ded_ray.records import stable_hash


@dataclass(slots=True)
class Cost:
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def usd(self, prices: OpenAIEngine) -> float:
        """At these prices; what has none costs nothing."""
        prompt, completion = prices.usd_per_million_prompt_tokens, prices.usd_per_million_completion_tokens
        return ((prompt or 0) * self.prompt_tokens + (completion or 0) * self.completion_tokens) / 1e6

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


@dataclass(slots=True, eq=False)
class Reservation:
    """What one group may cost, and what it did."""

    reserved: Cost
    spent: Cost
    waiting: bool = False


class Budget:
    """Spends under `max_usd` and `max_tokens_spent`. What `file` says was spent by earlier runs counts.

    The file gets a line before each request is sent, with the most that it can cost, and one after it with its real
    cost. If a kill cuts a request off, only the first line is there, and that one counts.
    """

    def __init__(self, config: OpenAIEngine, file: Path) -> None:
        self._config, self._file = config, file
        self.spent = sum(read_costs(file).values(), Cost())
        self._open: list[Reservation] = []
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def reservation(self, at_most: Cost) -> AsyncIterator[Reservation]:
        """Set this much aside while the block runs; its real cost is added to `spent`. Raises Stopped, see `reserve`."""
        reservation = Reservation(Cost(), Cost())
        await self.reserve(reservation, at_most)
        try:
            yield reservation
        finally:
            self._open.remove(reservation)
            self.spent += reservation.spent
            async with self._changed:
                self._changed.notify_all()

    async def reserve(self, reservation: Reservation, more: Cost) -> None:
        """Make sure that `more` can be spent from it, whatever all others turn out to cost; waits for them to be settled.

        Raises Stopped when it still does not fit, or when all others wait as well.
        """
        async with self._changed:
            while not self._fits(reservation.spent + more, reservation):
                if all(other is reservation or other.waiting for other in self._open):
                    spent = f"{self.spent.tokens} tokens ({self.spent.usd(self._config):.2f} USD) are spent"
                    raise Stopped(
                        f"{spent}, and the next group may exceed the cap; raise engine.max_tokens_spent or max_usd"
                    )
                reservation.waiting = True
                try:
                    await self._changed.wait()
                finally:
                    reservation.waiting = False
            reservation.reserved = reservation.spent + more
            if reservation not in self._open:
                self._open.append(reservation)

    def _fits(self, reserved: Cost, reservation: Reservation) -> bool:
        others = sum((other.reserved for other in self._open if other is not reservation), Cost())
        total = self.spent + others + reserved
        return (total.tokens <= (self._config.max_tokens_spent or total.tokens)
                and total.usd(self._config) <= (self._config.max_usd or total.usd(self._config)))  # fmt: skip

    def record_request(self, at_most: Cost) -> str:
        """Before a request is sent; returns the name under which `record_cost` replaces this line."""
        name = uuid4().hex
        self._write(name, at_most)
        return name

    def record_cost(self, reservation: Reservation, name: str, cost: Cost) -> None:
        """After a request: its real cost."""
        reservation.spent += cost
        self._write(name, cost)

    def _write(self, name: str, cost: Cost) -> None:
        append_line(self._file, {"request": name, **asdict(cost)})


def costs_file(model: str, engine: OpenAIEngine) -> str:
    """The name of the file, beside a model's groups, of what its endpoint has cost."""
    return f".spent-{stable_hash(model, engine.base_url)}.jsonl"


def read_costs(file: Path) -> dict[str, Cost]:
    """The last word on every request's cost, by the request's name."""
    costs: dict[str, Cost] = {}
    for row in read_lines(file) if file.exists() else ():
        name = row.pop("request")
        costs[name] = Cost(**row)
    return costs
