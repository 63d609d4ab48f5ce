"""Which engine answers what: counts for the progress line, deaths of engines, prompts that kill them, what is stuck.

One actor per stage. Engines register with it, report what they begin and finish, and send heartbeats in between.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from ded_ray.errors import BadInput, Stopped
from ded_ray.files.lines import append_line, read_lines
from ded_ray.generate.identity import Ids, as_number
from ded_ray.recipe import EngineConfig, VllmEngine
from ded_ray.records import Group
from ded_ray.runtime.progress import Counts

DEATHS_TO_QUARANTINE = 3
"""A prompt that was in flight at this many deaths of engines is not asked again."""

HEARTBEAT_SECONDS = 5
SILENT_SECONDS = 30
"""An engine without a heartbeat for this long does not count as alive."""

STALL_SECONDS = 120
"""If groups are in flight and none was finished for this long, the run says what is stuck, and repeats it as often."""

MANY_REFUSED = 20
"""With this many refused prompts, and fewer answered ones, the model is asked in a wrong way, and the run stops."""

Instruction = Literal[
    "make",
    "again",  # it was begun before: look first whether it was saved
    "alone",  # the same, and only while no other suspect is being made
    "skip",  # it is in quarantine
]


@dataclass
class EngineState:
    where: str
    heartbeat: float
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
    """A prompt that was in flight when an engine died: it may be the cause, or its group was saved just before."""

    since: float
    num_deaths: int = 0


class EngineMonitor(Counts):
    """`quarantine` is the file for what cannot be answered; `max_deaths` bounds how often engines may be replaced."""

    def __init__(self, quarantine: Path, max_deaths: int) -> None:
        super().__init__()
        self._quarantine, self._max_deaths, self._num_deaths = quarantine, max_deaths, 0
        self._engines: dict[str, EngineState] = {}
        self._suspects: dict[str, Suspect] = {}
        self._quarantined: set[str] = set()
        self._finished = Ids()
        self._expected, self._loading, self._model_of = set[str](), set[str](), dict[str, str]()
        self._refused, self._answered = Counter[str](), Counter[str]()  # groups by model
        self._last_finish = self._last_stall_message = time.time()

    def expect(self, model: str) -> None:
        """Engines of this model are to come."""
        self._expected.add(model)

    def load(self, engine: str, model: str) -> None:
        """An engine is about to be loaded; if it was loading before, it died of that. Raises Stopped after too many."""
        self._model_of[engine] = model
        if engine in self._loading:
            self._num_deaths += 1
            self._check_deaths(engine)
        self._loading.add(engine)

    def register(self, engine: str, where: str) -> None:
        """Register a ready engine. If this actor was registered before, its engine died: count the death, and suspect
        what it had in flight."""
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

    def begin(self, engine: str, problems: dict[str, str]) -> tuple[dict[str, Instruction], float]:
        """(what to do with each of these groups; since when, in Unix time, those that were begun before may be on disk).

        `problems` are problem ids by group id. Raises Stopped when the run cannot go on.
        """
        model = self._model_of.get(engine, "")
        if (refused := self._refused[model]) >= MANY_REFUSED and refused > self._answered[model]:
            self.stop(f"{model}: {refused} prompts could not be answered, more than could; {self._quarantine} says why")
        self._check_deaths(engine)
        instructions = {name: self._instruction(name) for name in problems}
        begun_before = [name for name, instruction in instructions.items() if instruction in {"again", "alone"}]
        since = min((self._suspects[name].since if name in self._suspects else 0 for name in begun_before), default=0.0)
        for name, instruction in instructions.items():
            if instruction in {"make", "again"}:
                self.start_one(engine, name, problems[name])
        return instructions, since

    def _check_deaths(self, engine: str) -> None:
        if self._num_deaths > self._max_deaths:
            died = f"{self._num_deaths} engines died, and max_deaths is {self._max_deaths}"
            self.stop(f"{self._model_of.get(engine, '')}: {died}; Ray's logs say why")
        if self._why_stopped:
            raise Stopped(self._why_stopped)

    def start_one(self, engine: str, name: str, problem: str) -> None:
        """From now on this group is in flight here. `begin` does this itself, but for groups that wait to be made alone."""
        for other in self._engines.values():
            other.in_flight.pop(name, None)  # an engine that was lost for good never reports it
        self._engines[engine].in_flight[name] = (problem, time.time())

    def _instruction(self, name: str) -> Instruction:
        if name in self._quarantined:
            return "skip"
        if suspect := self._suspects.get(name):
            # After the second death suspects are made one at a time, so that the third death meets only the guilty one.
            return "alone" if suspect.num_deaths >= DEATHS_TO_QUARANTINE - 1 else "again"
        return "again" if as_number(name) in self._finished else "make"

    def finish(self, engine: str, groups: dict[str, Finished]) -> None:
        """These are complete and saved (by group id)."""
        for name, group in groups.items():
            self._forget(engine, name)
            if as_number(name) not in self._finished:
                self._finished.add(as_number(name))
                self._answered[self._model_of.get(engine, "")] += 1
                self.add(done=1, groups=1, rollouts=group.rollouts, tokens=group.tokens, cut_off=group.cut_off)

    def refuse(self, engine: str, name: str, reason: str) -> None:
        """The engine cannot answer this one, and says why."""
        self._refused[self._model_of.get(engine, "")] += 1
        self._to_quarantine(name, self._forget(engine, name), reason)

    def release(self, engine: str, names: list[str]) -> None:
        """These groups are no longer being made, and nothing is wrong with them."""
        for name in names:
            self._engines[engine].in_flight.pop(name, None)

    def num_in_flight(self) -> int:
        """Groups that engines which are alive are being asked for."""
        alive = [engine for engine in self._engines.values() if time.time() - engine.heartbeat < SILENT_SECONDS]
        return sum(len(engine.in_flight) for engine in alive)

    def _forget(self, engine: str, name: str) -> str:
        self._last_finish = time.time()
        self._suspects.pop(name, None)
        return self._engines[engine].in_flight.pop(name, ("", 0.0))[0]

    def _to_quarantine(self, name: str, problem: str, reason: str) -> None:
        self._quarantined.add(name)
        line = {"group_id": name, "problem_id": problem, "reason": reason, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        append_line(self._quarantine, line)
        self.add(done=1, quarantined=1)

    def heartbeat(self, engine: str) -> None:
        self._engines[engine].heartbeat = time.time()

    def _num_alive(self) -> int:
        return sum(time.time() - engine.heartbeat < SILENT_SECONDS for engine in self._engines.values())

    def read(self) -> dict[str, float]:
        return {**super().read(), "engines": self._num_alive()}

    def stall_message(self) -> str | None:
        """One line on what is stuck, when nothing has been finished for long; None otherwise."""
        now = time.time()
        if now - max(self._last_finish, self._last_stall_message) < STALL_SECONDS:
            return None
        quiet = now - self._last_finish
        in_flight = [(since, problem, engine) for engine in self._engines.values()
                     for problem, since in engine.in_flight.values()]  # fmt: skip
        late = sorted(self._expected - {self._model_of.get(engine) for engine in self._engines})
        if self._engines and not in_flight and not late:
            return None
        self._last_stall_message = now
        if not in_flight:
            of = f" of {', '.join(late)}" if late else ""
            return f"no engine{of} is ready after {quiet:.0f} s; `ray status` says whether the cluster has room for one"
        since, problem, engine = min(in_flight, key=lambda waiting: waiting[0])
        alive = f"{self._num_alive()} of {len(self._engines)} engines alive"
        oldest = f"the oldest problem {problem!r} for {now - since:.0f} s on {engine.where}"
        heard = f"last heard of {now - engine.heartbeat:.0f} s ago"
        return f"no group for {quiet:.0f} s: {len(in_flight)} in flight, {alive}, {oldest}, {heard}"


def max_deaths(engine: EngineConfig) -> int:
    """How many actors with such an engine may die in one stage before the run gives up."""
    return engine.max_deaths if isinstance(engine, VllmEngine) else VllmEngine().max_deaths


def read_quarantine(path: Path) -> dict[str, str]:
    """Reason by group id of all that an earlier run could not get answered. Delete a line to have it asked again."""
    if not path.exists():
        return {}
    try:
        return {line["group_id"]: line["reason"] for line in read_lines(path)}
    except KeyError as error:
        raise BadInput(f"{path}: a line has no {error}, as it was written with; delete whole lines only") from error
