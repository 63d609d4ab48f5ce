"""Whether an endpoint grows while it serves: `python -m jobs.bench.leaks [--minutes 10]`.

Clients of many kinds ask an endpoint of the embedded form: whole answers, several at once, streams, clients that leave in
the middle, bodies that are no request, a wrong token. At 10 %, 50 % and 100 % of the time they rest until all is answered,
and what the replica, the proxy and the controller of Ray Serve hold is read: resident MiB, threads, open files; and the
number of replicas. Prints one JSON object last; `leaks` names what has grown by more than GROWTH from 50 % to 100 %. Exit
code 1 where there is something, or where a request was answered otherwise than it should be.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

TOKEN = "token-of-the-leaks"  # noqa: S105
MODEL, CLIENTS, SHARES = "tiny/student", 8, (0.1, 0.5, 1.0)
GROWTH = {"mib": 16.0, "threads": 2, "files": 4, "replicas": 0}
"""Allowed from half of the time to its end: what an allocator and a pool of threads may still take, and no more."""
PROCESSES = {"replica": "ServeReplica:ded_ray:Endpoint", "proxy": "ProxyActor", "controller": "ServeController"}
LEFT = 0
"""In the place of a status, where nobody waited for one."""
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Left to right, mod 10: 7+5*3-8*7+2"}], "temperature": 3.0,
        "max_tokens": 60}  # fmt: skip
BAD_BODIES = [b"", b'{"model": ', b"[" * 5000, b'{"model": "m"}', b'{"model": "m", "messages": [], "temperature": NaN}',
              json.dumps(CHAT | {"temperature": -1}).encode(), json.dumps(CHAT | {"tools": [{}]}).encode(),
              json.dumps(CHAT | {"messages": [{"role": "user", "content": "7 " * 5000}]}).encode()]  # fmt: skip


class Clients:
    """Those who ask; `answers` counts what came of it, by kind and status."""

    def __init__(self, url: str, seed: int) -> None:
        self._url, self._draw, self._may_ask = f"{url}/chat/completions", random.Random(seed), asyncio.Event()
        self._num_asking, self.is_over = 0, False
        self.answers, self.unexpected = Counter[str](), Counter[str]()
        self._kinds: list[tuple[Callable[[httpx.AsyncClient], Awaitable[int]], int]] = [
            (self.whole, 200), (self.several, 200), (self.stream, 200), (self.leave_a_stream, 200),
            (self.leave_before, LEFT), (self.bad_body, 400), (self.wrong_token, 401),
        ]  # fmt: skip

    def _body(self, **more: Any) -> dict[str, Any]:
        return CHAT | {"seed": self._draw.getrandbits(40)} | more

    async def whole(self, http: httpx.AsyncClient) -> int:
        return (await http.post(self._url, json=self._body())).status_code

    async def several(self, http: httpx.AsyncClient) -> int:
        return (await http.post(self._url, json=self._body(n=4, logprobs=True, top_logprobs=3))).status_code

    async def stream(self, http: httpx.AsyncClient, most: int | None = None) -> int:
        async with http.stream("POST", self._url, json=self._body(stream=True, n=2)) as response:
            read = 0
            async for _ in response.aiter_lines():
                read += 1
                if read == most:
                    break
            return response.status_code

    async def leave_a_stream(self, http: httpx.AsyncClient) -> int:
        return await self.stream(http, most=self._draw.randint(1, 4))

    async def leave_before(self, http: httpx.AsyncClient) -> int:
        try:
            return (await http.post(self._url, json=self._body(max_tokens=1500), timeout=0.3)).status_code
        except httpx.TimeoutException:
            return LEFT

    async def bad_body(self, http: httpx.AsyncClient) -> int:
        return (await http.post(self._url, content=self._draw.choice(BAD_BODIES))).status_code

    async def wrong_token(self, http: httpx.AsyncClient) -> int:
        return (await http.post(self._url, json=self._body(), headers={"Authorization": "Bearer another"})).status_code

    async def ask(self) -> None:
        """One client: asks in one way after another, every now and then on a connection of its own."""
        while not self.is_over:
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120) as http:
                for _ in range(20):
                    await self._may_ask.wait()
                    if self.is_over:
                        return
                    kind, wanted = self._draw.choice(self._kinds)
                    self._num_asking += 1
                    try:
                        status = await kind(http)
                    except httpx.HTTPError as error:
                        self.unexpected[f"{kind.__name__}: {type(error).__name__}"] += 1
                        break
                    finally:
                        self._num_asking -= 1
                    self.answers[f"{kind.__name__}: {status or 'left'}"] += 1
                    if status != wanted and (status, wanted) != (200, LEFT):  # some are faster than those who leave
                        self.unexpected[f"{kind.__name__}: {status}"] += 1

    async def work_until(self, until: float) -> None:
        """Ask until then (monotonic seconds), and rest until all is answered."""
        self._may_ask.set()
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        self._may_ask.clear()
        while self._num_asking:
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)  # what was left is ended by then


def holdings() -> dict[str, Any]:
    """What the processes of this driver's Ray Serve hold now."""
    import psutil
    from ray import serve

    found: dict[str, Any] = {}
    for process in psutil.Process().children(recursive=True):
        command = " ".join(process.cmdline()) if process.is_running() else ""
        for name in (name for name, part in PROCESSES.items() if part in command):
            mib = round(process.memory_info().rss / 2**20, 1)
            found[name] = {"mib": mib, "threads": process.num_threads(), "files": process.num_fds()}
    states = [d.replica_states for app in serve.status().applications.values() for d in app.deployments.values()]
    return found | {"all": {"replicas": sum(sum(each.values()) for each in states)}}


def grown(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What has grown by more than it may; a process that is gone, or new, has been replaced."""
    return [f"{name}: replaced" for name in before.keys() ^ after.keys()] + [
        f"{name}: {what} from {before[name][what]} to {after[name][what]}"
        for name in before.keys() & after.keys()
        for what in before[name]
        if after[name][what] - before[name][what] > GROWTH[what]
    ]


async def watch(url: str, minutes: float, seed: int) -> dict[str, Any]:
    clients, started, held = Clients(url, seed), time.monotonic(), {}
    asking = [asyncio.create_task(clients.ask()) for _ in range(CLIENTS)]
    for share in SHARES:
        await clients.work_until(started + share * 60 * minutes)
        held[f"{share:.0%}"] = await asyncio.to_thread(holdings)
        print(f"{share:.0%}: {json.dumps(held[f'{share:.0%}'])}", file=sys.stderr, flush=True)
    clients.is_over = True
    clients._may_ask.set()
    await asyncio.gather(*asking)
    return {
        "minutes": minutes,
        "answers": dict(sorted(clients.answers.items())),
        "unexpected": dict(clients.unexpected),
        "held": held,
        "may_grow": GROWTH,
        "leaks": grown(held["50%"], held["100%"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    from ded_ray.recipe import Serve
    from ded_ray.runtime.connect import start_ray
    from ded_ray.serve.endpoint import Access, ServedModel
    from ded_ray.serve.ray_serve import served

    start_ray()
    with served([ServedModel("m", MODEL)], Serve(), access=Access("127.0.0.1", 0, TOKEN)) as url:
        found = asyncio.run(watch(url, arguments.minutes, arguments.seed))
    print(json.dumps(found))
    sys.exit(bool(found["leaks"] or found["unexpected"]))


if __name__ == "__main__":
    main()
