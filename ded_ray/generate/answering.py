"""One engine actor: asks its engine for groups, saves each the moment it is complete, and tells the watch."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from pydantic import SecretStr

from ded_ray.generate.engine import Answer, Refusal, Request, group_seed, identity, make_engine
from ded_ray.generate.saved import Saved, Saver, find
from ded_ray.generate.watch import BEAT_SECONDS, Finished
from ded_ray.knobs import Stopped
from ded_ray.recipe import Model
from ded_ray.records import Group, Problem, Rollout, stable_hash, to_table


def group_id(problem: Problem, identity: str) -> str:
    """The same for the same prompt asked of the same model in the same way, on every machine.

    Reference and verifier are no part of it: a corrected answer does not cost a rollout.
    """
    return stable_hash(problem.problem_id, problem.prompt, identity)


PATIENCE_SECONDS = 600
"""What is in flight when a run stops is waited for as long as some of it is finished so often."""


class Answering:
    """`watch` is the handle of a Watch actor, `key` that of an endpoint; `saved` are groups that it need not make again,
    for those who do not know beforehand what they will ask. With adaptive sampling `make_settled` makes what says of a
    group, after each round, whether its verdicts are all the same."""

    def __init__(
        self,
        who: Model,
        seed: int,
        save_to: Path,
        watch: Any,
        key: SecretStr,
        make_settled: Callable[[], Callable[[Group], bool]],
        saved: Saved | None = None,
    ) -> None:
        self._who, self._seed, self._save_to, self._watch, self._saved = who, seed, save_to, watch, saved
        self._identity, self._saver = identity(who, seed), Saver(save_to)
        context = ray.get_runtime_context()
        self._name = context.get_actor_id() or ""
        ray.get(watch.load.remote(self._name, who.model))
        try:
            self._engine = make_engine(who, save_to, key)
        except Exception as error:  # the boundary: an engine may fail to load in any way
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
            ray.get(watch.stop.remote(f"{who.model}: its engine cannot be loaded ({reason})"))
            raise
        ray.get(watch.enrol.remote(self._name, f"node {context.get_node_id()[:8]}, process {os.getpid()}"))
        self._make_settled = make_settled
        self._settled: Callable[[Group], bool] | None = None
        self._one_suspect, self._settling = asyncio.Lock(), asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None

    async def __call__(self, batch: pa.Table) -> pa.Table:
        return to_table(await self.answer([Problem.from_row(row) for row in batch.to_pylist()]), Group)

    async def answer(self, problems: list[Problem]) -> list[Group]:
        """One group per problem that could be answered, in any order; every new one is saved before it is returned.

        Raises Stopped when the run cannot go on, once what all engines are being asked is answered and saved: what is raised
        here ends the plan, and them.
        """
        try:
            return await self._answer(problems)
        except Stopped as stopped:
            why = stopped
        await self._watch.stop.remote(f"{self._who.model}: {why}")
        await self._watch.give_up.remote(self._name, [group_id(problem, self._identity) for problem in problems])
        busy, since = -1, time.monotonic()
        while (now := await self._watch.num_in_flight.remote()) and time.monotonic() - since < PATIENCE_SECONDS:
            if now != busy:
                busy, since = now, time.monotonic()
            await asyncio.sleep(0.2)
        raise why

    async def _answer(self, problems: list[Problem]) -> list[Group]:
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat())
        by_id = {group_id(problem, self._identity): problem for problem in problems}
        groups = self._saved.read(by_id) if self._saved else []
        known = {group.group_id for group in groups}
        asked = {name: problem.problem_id for name, problem in by_id.items() if name not in known}
        if not asked:
            return groups
        orders, since = await self._watch.begin.remote(self._name, asked)
        begun_before = {name for name, order in orders.items() if order in {"again", "alone"}}
        if begun_before:
            found = await asyncio.to_thread(find, self._save_to, begun_before, since)
            self._report(list(found.values()))
            groups += found.values()
            orders = {name: order for name, order in orders.items() if name not in found}
        requests = [self._request(by_id[name]) for name, order in orders.items() if order in {"make", "again"}]
        groups += await self._made(requests)
        for name in (name for name, order in orders.items() if order == "alone"):
            async with self._one_suspect:
                await self._watch.start_one.remote(self._name, name, by_id[name].problem_id)
                groups += await self._made([self._request(by_id[name])])
        return groups

    def _request(self, problem: Problem) -> Request:
        seed = group_seed(self._seed, problem.problem_id, self._who.model)
        return Request(self._who.chat.messages(problem.prompt), self._who.sampling, seed, problem)

    async def _made(self, requests: list[Request]) -> list[Group]:
        """Ask, save and report; with adaptive sampling in rounds, of which a settled group goes on to no further."""
        begun = {request.seed: self._group(request) for request in requests}
        groups: list[Group] = []
        try:
            for number in range(len(self._who.sampling.rounds)):
                requests = await self._one_round(number, requests, begun, groups)
        except Stopped:  # the rollouts of earlier rounds were paid for
            await self._keep([group for group in begun.values() if group.rollouts], groups)
            raise
        return groups

    async def _one_round(
        self, number: int, requests: list[Request], begun: dict[int, Group], groups: list[Group]
    ) -> list[Request]:
        """Fill what has `begun` (by the requests' seeds); what is complete goes to `groups`. Returns who needs another."""
        if not requests:
            return []
        rounds, again = self._who.sampling.rounds, list[Request]()
        sampling = self._who.sampling.model_copy(update={"num_rollouts": rounds[number]})
        asked = {request.seed + sum(rounds[:number]): request for request in requests}
        parts = [replace(request, seed=seed, sampling=sampling) for seed, request in asked.items()]
        async for answers in self._answers(parts):
            complete = []
            for part, answer in answers:
                request = asked[part.seed]
                group = begun[request.seed]
                if isinstance(answer, Refusal):
                    if not group.rollouts:
                        await self._watch.refuse.remote(self._name, group.group_id, answer.reason)
                        continue
                else:
                    before = len(group.rollouts)
                    group.rollouts += [storable(rollout, rollout.index + before) for rollout in answer]
                    if number + 1 < len(rounds) and not await self._is_settled(group):
                        again.append(request)
                        continue
                complete.append(begun.pop(request.seed))
            await self._keep(complete, groups)
        return again

    async def _keep(self, complete: list[Group], groups: list[Group]) -> None:
        await asyncio.to_thread(self._saver.save, complete)
        self._report(complete)
        groups += complete

    def _group(self, request: Request) -> Group:
        problem = request.problem
        assert problem is not None
        return Group.of(problem, group_id(problem, self._identity), self._who.model, [])

    async def _is_settled(self, group: Group) -> bool:
        async with self._settling:
            self._settled = self._settled or self._make_settled()
            return await asyncio.to_thread(self._settled, group)

    async def _answers(self, requests: list[Request]) -> AsyncIterator[list[Answer]]:
        """Those that are there at the same time, together."""
        answers = self._engine.generate(requests)
        if isinstance(answers, AsyncIterator):
            async for answer in answers:
                yield [answer]
        else:
            yield await asyncio.to_thread(list, answers)

    def _report(self, groups: list[Group]) -> None:
        self._watch.finish.remote(self._name, {group.group_id: Finished.of(group) for group in groups})

    async def _beat(self) -> None:
        while True:
            self._watch.beat.remote(self._name)
            await asyncio.sleep(BEAT_SECONDS)


def storable(rollout: Rollout, index: int) -> Rollout:
    """With its place in the group; half a surrogate pair, which no file can hold, becomes a question mark."""
    return replace(rollout, index=index, completion=rollout.completion.encode(errors="replace").decode())


class Asking:
    """Answering for those who are not asynchronous themselves, with an event loop of its own.

    For a judge: `saved` are the replies that earlier runs paid for.
    """

    def __init__(self, who: Model, seed: int, save_to: Path, watch: Any, key: SecretStr, saved: Saved) -> None:
        self._answering = Answering(who, seed, save_to, watch, key, lambda: lambda _: True, saved)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def answer(self, problems: list[Problem]) -> list[Group]:
        return asyncio.run_coroutine_threadsafe(self._answering.answer(problems), self._loop).result()
