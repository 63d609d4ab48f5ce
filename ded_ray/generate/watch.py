"""Who is answering what: counts for the progress line, deaths of engines, prompts that kill them, and what is stuck.

One actor per stage. Engines enrol with it, say what they begin and what they finished, and beat in between.
"""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from ded_ray.generate.saved import Ids, as_number
from ded_ray.knobs import BadInput, Stopped
from ded_ray.progress import Counts
from ded_ray.recipe import Engine, VllmEngine
from ded_ray.records import Group

DEATHS_TO_QUARANTINE = 3
"""A prompt that was in flight when so many engines died is not asked again."""

BEAT_SECONDS = 5
SILENT_SECONDS = 30
"""An engine that has not beaten for so long does not count as alive."""

COMPLAINT_SECONDS = 120
"""Without a finished group for so long, while some are in flight, the run says what is stuck, and again every so often."""

MANY_REFUSED = 20
"""Refused prompts, if they are more than the answered ones, that say that the model is asked in a wrong way."""

Order = Literal["make", "again", "alone", "skip"]
"""make it; look first whether it was saved already, for it was begun before; the same, and while no other suspect is
being made; leave it out, it is in quarantine."""


@dataclass
class EngineState:
    where: str
    beat: float
    in_flight: dict[str, tuple[str, float]] = field(default_factory=dict)  # group id -> (problem id, since when)


class Finished(NamedTuple):
    """What is counted of a group."""

    rollouts: int
    tokens: int
    cut_off: int

    @classmethod
    def of(cls, group: Group) -> "Finished":
        rollouts = group.rollouts
        cut_off = sum(rollout.finish_reason == "length" for rollout in rollouts)
        return cls(len(rollouts), sum(rollout.num_tokens for rollout in rollouts), cut_off)


@dataclass
class Suspect:
    """A prompt that was in flight when an engine died: it may have killed it, and it may have been saved just before."""

    since: float
    num_deaths: int = 0


class Watch(Counts):
    """`quarantine` is the file for what cannot be answered; `max_deaths` bounds how often engines may be replaced."""

    def __init__(self, quarantine: Path, max_deaths: int) -> None:
        super().__init__()
        self._quarantine, self._max_deaths, self._num_deaths = quarantine, max_deaths, 0
        self._engines: dict[str, EngineState] = {}
        self._suspects: dict[str, Suspect] = {}
        self._quarantined: set[str] = set()
        self._finished = Ids()
        self._why_stopped: str | None = None
        self._expected, self._loading, self._who = set[str](), set[str](), dict[str, str]()  # _who: model by engine
        self._refused, self._answered = Counter[str](), Counter[str]()  # groups by model
        self._last_finish = self._last_complaint = time.time()

    def expect(self, who: str) -> None:
        """Engines of this model are to come."""
        self._expected.add(who)

    def load(self, engine: str, who: str) -> None:
        """An engine is about to be loaded. One that was loading before has died of it. Raises Stopped after too many."""
        self._who[engine] = who
        if engine in self._loading:
            self._num_deaths += 1
            self._check_deaths(engine)
        self._loading.add(engine)

    def enrol(self, engine: str, where: str) -> None:
        """An engine is ready. One that was there before has died in between, with all that it had in flight."""
        before = self._engines.get(engine)
        self._loading.discard(engine)
        self._engines[engine] = EngineState(where, time.time())
        self._last_finish = time.time()
        self.start()
        if before is None:
            return
        self._num_deaths += 1
        for name, (problem, since) in before.in_flight.items():
            suspect = self._suspects.setdefault(name, Suspect(since))
            suspect.num_deaths += 1
            if suspect.num_deaths >= DEATHS_TO_QUARANTINE:
                self._to_quarantine(name, problem, f"in flight at {suspect.num_deaths} deaths of engines")

    def begin(self, engine: str, problems: dict[str, str]) -> tuple[dict[str, Order], float]:
        """What to do with each of these groups (group id -> problem id); and since when (Unix time) those that were begun
        before may lie on disk. Raises Stopped when the run cannot go on.
        """
        who = self._who.get(engine, "")
        if (refused := self._refused[who]) >= MANY_REFUSED and refused > self._answered[who]:
            self.stop(f"{who}: {refused} prompts could not be answered, more than could; {self._quarantine} says why")
        self._check_deaths(engine)
        orders = {name: self._order(name) for name in problems}
        since = min((self._suspects[name].since if name in self._suspects else 0
                     for name, order in orders.items() if order in {"again", "alone"}), default=0.0)  # fmt: skip
        for name, order in orders.items():
            if order in {"make", "again"}:
                self.start_one(engine, name, problems[name])
        return orders, since

    def _check_deaths(self, engine: str) -> None:
        if self._num_deaths > self._max_deaths:
            died = f"{self._num_deaths} engines died, and max_deaths is {self._max_deaths}"
            self.stop(f"{self._who.get(engine, '')}: {died}; Ray's logs say why")
        if self._why_stopped:
            raise Stopped(self._why_stopped)

    def start_one(self, engine: str, name: str, problem: str) -> None:
        """From now on it is in flight here. `begin` says so of all but those that wait to be made alone."""
        for other in self._engines.values():
            other.in_flight.pop(name, None)  # one that was lost for good never says so
        self._engines[engine].in_flight[name] = (problem, time.time())

    def _order(self, name: str) -> Order:
        if name in self._quarantined:
            return "skip"
        if suspect := self._suspects.get(name):
            # The second death says that a prompt may be to blame: from now on one suspect at a time, so that the third
            # death meets only the one that is.
            return "alone" if suspect.num_deaths >= DEATHS_TO_QUARANTINE - 1 else "again"
        return "again" if as_number(name) in self._finished else "make"

    def finish(self, engine: str, groups: dict[str, Finished]) -> None:
        """These are complete and saved (by group id)."""
        for name, group in groups.items():
            self._forget(engine, name)
            if as_number(name) not in self._finished:
                self._finished.add(as_number(name))
                self._answered[self._who.get(engine, "")] += 1
                self.add(done=1, groups=1, rollouts=group.rollouts, tokens=group.tokens, cut_off=group.cut_off)

    def refuse(self, engine: str, name: str, reason: str) -> None:
        """The engine cannot answer this one, and says why."""
        self._refused[self._who.get(engine, "")] += 1
        self._to_quarantine(name, self._forget(engine, name), reason)

    def give_up(self, engine: str, names: list[str]) -> None:
        """These are not being made any longer, and nothing is wrong with them."""
        for name in names:
            self._engines[engine].in_flight.pop(name, None)

    def num_in_flight(self) -> int:
        """Groups that engines which are alive are being asked for."""
        alive = [engine for engine in self._engines.values() if time.time() - engine.beat < SILENT_SECONDS]
        return sum(len(engine.in_flight) for engine in alive)

    def _forget(self, engine: str, name: str) -> str:
        self._last_finish = time.time()
        self._suspects.pop(name, None)
        return self._engines[engine].in_flight.pop(name, ("", 0.0))[0]

    def _to_quarantine(self, name: str, problem: str, reason: str) -> None:
        self._quarantined.add(name)
        line = {"group_id": name, "problem_id": problem, "reason": reason, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        with self._quarantine.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.add(done=1, quarantined=1)

    def stop(self, why: str) -> None:
        """An actor says why the run cannot go on: on its way to the driver an exception loses its kind and its cause."""
        self._why_stopped = self._why_stopped or why

    def why_stopped(self) -> str | None:
        return self._why_stopped

    def beat(self, engine: str) -> None:
        self._engines[engine].beat = time.time()

    def _num_alive(self) -> int:
        return sum(time.time() - engine.beat < SILENT_SECONDS for engine in self._engines.values())

    def read(self) -> dict[str, float]:
        return {**super().read(), "engines": self._num_alive()}

    def complaint(self) -> str | None:
        """One line on what is stuck, when nothing has been finished for long; None otherwise."""
        now = time.time()
        if now - max(self._last_finish, self._last_complaint) < COMPLAINT_SECONDS:
            return None
        quiet = now - self._last_finish
        in_flight = [(since, problem, engine) for engine in self._engines.values()
                     for problem, since in engine.in_flight.values()]  # fmt: skip
        late = sorted(self._expected - {self._who.get(engine) for engine in self._engines})
        if self._engines and not in_flight and not late:
            return None
        self._last_complaint = now
        if not in_flight:
            of = f" of {', '.join(late)}" if late else ""
            return f"no engine{of} is ready after {quiet:.0f} s; `ray status` says whether the cluster has room for one"
        since, problem, engine = min(in_flight, key=lambda each: each[0])
        alive = f"{self._num_alive()} of {len(self._engines)} engines alive"
        oldest = f"the oldest problem {problem!r} for {now - since:.0f} s on {engine.where}"
        heard = f"last heard of {now - engine.beat:.0f} s ago"
        return f"no group for {quiet:.0f} s: {len(in_flight)} in flight, {alive}, {oldest}, {heard}"


def max_deaths(engine: Engine) -> int:
    """How many actors with such an engine may die in one stage before the run gives up."""
    return engine.max_deaths if isinstance(engine, VllmEngine) else VllmEngine().max_deaths


def read_quarantine(path: Path) -> dict[str, str]:
    """Reason by group id of all that an earlier run could not get answered. Delete a line to have it asked again."""
    if not path.exists():
        return {}
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        return {line["group_id"]: line["reason"] for line in lines}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: a line is no longer as it was written ({error}); delete whole lines only") from error
