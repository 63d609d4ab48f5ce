"""One engine actor: asks its engine for groups, saves each the moment it is complete, and reports to the monitor."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import ray
from pydantic import SecretStr

from ded_ray.errors import Stopped
from ded_ray.generate.engine import Answer, Refusal, Request
from ded_ray.generate.identity import GenerateJob
from ded_ray.generate.load_engine import load_engine
from ded_ray.generate.monitor import HEARTBEAT_SECONDS, Finished
from ded_ray.generate.store import GroupWriter, StoredGroups, find_recent
from ded_ray.records import Group, Problem, Rollout, to_table

PATIENCE_SECONDS = 600
"""When a run stops, wait for groups in flight; give up if none finishes within this many seconds."""

StopRule = Callable[[Group], bool]
"""Adaptive sampling: whether a group that has had some rounds of rollouts needs no more."""


class GenerateWorker:
    """An actor with one loaded engine.

    `monitor` is the handle of an EngineMonitor, `key` the endpoint's. `make_stop_rule` is called once, when adaptive
    sampling first needs the rule; without it a group is complete after its first round. `stored` are groups that need not
    be made again, for callers who do not know beforehand what they will ask.
    """

    def __init__(
        self,
        job: GenerateJob,
        monitor: Any,
        key: SecretStr,
        *,
        make_stop_rule: Callable[[], StopRule] | None = None,
        stored: StoredGroups | None = None,
    ) -> None:
        self._job, self._monitor, self._stored = job, monitor, stored
        self._model, self._sampling = job.generator.model, job.generator.sampling
        self._writer = GroupWriter(job.folder)
        context = ray.get_runtime_context()
        self._name = context.get_actor_id() or ""
        ray.get(monitor.load.remote(self._name, self._model))
        try:
            self._engine = load_engine(job.generator, job.folder, key)
        except Exception as error:  # the boundary: an engine may fail to load in any way
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
            ray.get(monitor.stop.remote(f"{self._model}: its engine cannot be loaded ({reason})"))
            raise
        ray.get(monitor.register.remote(self._name, f"node {context.get_node_id()[:8]}, process {os.getpid()}"))
        self._make_stop_rule = make_stop_rule
        self._stop_rule: StopRule | None = None
        self._one_suspect, self._one_stop_rule = asyncio.Lock(), asyncio.Lock()
        self._heartbeats: asyncio.Task[None] | None = None

    async def __call__(self, batch: pa.Table) -> pa.Table:
        return to_table(await self.answer([Problem.from_row(row) for row in batch.to_pylist()]), Group)

    async def answer(self, problems: list[Problem]) -> list[Group]:
        """One group per problem that could be answered, in any order; every new one is saved before it is returned.

        Raises Stopped when the run cannot go on. It is raised only when no engine has a group in flight any more, or none
        finishes: the exception ends the plan, and with it every engine.
        """
        try:
            return await self._answer(problems)
        except Stopped as stopped:
            why = stopped
        await self._monitor.stop.remote(f"{self._model}: {why}")
        await self._monitor.release.remote(self._name, [self._job.group_id(problem) for problem in problems])
        before, since = -1, time.monotonic()
        while (in_flight := await self._monitor.num_in_flight.remote()) and time.monotonic() - since < PATIENCE_SECONDS:
            if in_flight != before:
                before, since = in_flight, time.monotonic()
            await asyncio.sleep(0.2)
        raise why

    async def _answer(self, problems: list[Problem]) -> list[Group]:
        if self._heartbeats is None:
            self._heartbeats = asyncio.create_task(self._send_heartbeats())
        by_id = {self._job.group_id(problem): problem for problem in problems}
        groups = self._stored.read(by_id) if self._stored else []
        stored_ids = {group.group_id for group in groups}
        missing = {name: problem.problem_id for name, problem in by_id.items() if name not in stored_ids}
        if not missing:
            return groups
        instructions, since = await self._monitor.begin.remote(self._name, missing)
        begun_before = {name for name, instruction in instructions.items() if instruction in {"again", "alone"}}
        if begun_before:
            saved = await asyncio.to_thread(find_recent, self._job.folder, begun_before, since)
            self._report(list(saved.values()))
            groups += saved.values()
            instructions = {name: instruction for name, instruction in instructions.items() if name not in saved}
        together = [by_id[name] for name, instruction in instructions.items() if instruction in {"make", "again"}]
        groups += await self._make(together)
        for name in (name for name, instruction in instructions.items() if instruction == "alone"):
            async with self._one_suspect:
                await self._monitor.start_one.remote(self._name, name, by_id[name].problem_id)
                groups += await self._make([by_id[name]])
        return groups

    async def _make(self, problems: list[Problem]) -> list[Group]:
        """Ask, save and report; adaptive sampling asks in rounds, and only for the groups that need another one."""
        begun = {(group := self._new_group(problem)).group_id: group for problem in problems}
        complete: list[Group] = []
        try:
            for number in range(len(self._sampling.rounds)):
                problems = await self._one_round(number, problems, begun, complete)
        except Stopped:  # the rollouts of earlier rounds were paid for
            await self._keep([group for group in begun.values() if group.rollouts], complete)
            raise
        return complete

    async def _one_round(
        self, number: int, problems: list[Problem], begun: dict[str, Group], complete: list[Group]
    ) -> list[Problem]:
        """Add a round of rollouts to the groups in `begun` (by id); move complete ones to `complete`.

        Returns the problems that need another round.
        """
        if not problems:
            return []
        rounds, unfinished = self._sampling.rounds, list[Problem]()
        requests = [self._request(problem, first=sum(rounds[:number]), count=rounds[number]) for problem in problems]
        async for answers in self._answers(requests):
            finished = []
            for request, answer in answers:
                assert request.problem is not None
                group = begun[self._job.group_id(request.problem)]
                if isinstance(answer, Refusal):
                    if not group.rollouts:
                        await self._monitor.refuse.remote(self._name, group.group_id, answer.reason)
                        continue
                else:
                    before = len(group.rollouts)
                    group.rollouts += [storable(rollout, rollout.index + before) for rollout in answer]
                    if number + 1 < len(rounds) and not await self._needs_no_more(group):
                        unfinished.append(request.problem)
                        continue
                finished.append(begun.pop(group.group_id))
            await self._keep(finished, complete)
        return unfinished

    def _request(self, problem: Problem, *, first: int, count: int) -> Request:
        """Ask for `count` rollouts, of which the first is number `first` of its group."""
        sampling = self._sampling.model_copy(update={"num_rollouts": count})
        messages = self._job.generator.chat.messages(problem.prompt)
        return Request(messages, sampling, self._job.seed_of(problem) + first, problem)

    def _new_group(self, problem: Problem) -> Group:
        return Group.of(problem, self._job.group_id(problem), self._model, [])

    async def _keep(self, finished: list[Group], complete: list[Group]) -> None:
        await asyncio.to_thread(self._writer.save, finished)
        self._report(finished)
        complete += finished

    async def _needs_no_more(self, group: Group) -> bool:
        if self._make_stop_rule is None:
            return True
        async with self._one_stop_rule:
            self._stop_rule = self._stop_rule or self._make_stop_rule()
            return await asyncio.to_thread(self._stop_rule, group)

    async def _answers(self, requests: list[Request]) -> AsyncIterator[list[Answer]]:
        """Answers that are there at the same time come together."""
        answers = self._engine.generate(requests)
        if isinstance(answers, AsyncIterator):
            async for answer in answers:
                yield [answer]
        else:
            yield await asyncio.to_thread(list, answers)

    def _report(self, groups: list[Group]) -> None:
        self._monitor.finish.remote(self._name, {group.group_id: Finished.of(group) for group in groups})

    async def _send_heartbeats(self) -> None:
        while True:
            self._monitor.heartbeat.remote(self._name)
            await asyncio.sleep(HEARTBEAT_SECONDS)


def storable(rollout: Rollout, index: int) -> Rollout:
    """The rollout with its place in the group; half a surrogate pair, which no file can hold, becomes a question mark."""
    return replace(rollout, index=index, completion=rollout.completion.encode(errors="replace").decode())


class BlockingGenerator:
    """A GenerateWorker for callers that are not asynchronous themselves, such as a judge; has an event loop of its own."""

    def __init__(self, job: GenerateJob, monitor: Any, key: SecretStr, stored: StoredGroups) -> None:
        self._worker = GenerateWorker(job, monitor, key, stored=stored)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def answer(self, problems: list[Problem]) -> list[Group]:
        return asyncio.run_coroutine_threadsafe(self._worker.answer(problems), self._loop).result()
