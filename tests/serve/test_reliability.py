"""Clients that leave, come in crowds or send rubbish; replicas that die; two endpoints on one port."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time

import httpx
import psutil
import pytest
import ray.serve
from conftest import DED_RAY, PROJECT

from ded_ray.errors import BadInput
from ded_ray.recipe import Serve
from ded_ray.serve import ray_serve
from ded_ray.serve.endpoint import LOCAL, Access, ServedModel
from ded_ray.serve.ray_serve import served

LONG = {"model": "m", "messages": [{"role": "user", "content": "Left to right, mod 10: 7+5*3-8*7+2"}], "temperature": 5.0,
        "max_tokens": 1900, "n": 32}  # fmt: skip
SHORT = LONG | {"n": 1, "max_tokens": 3}
CONFIG = Serve(max_body_mib=1, max_queued_requests=40, timeout_seconds=120)


@pytest.fixture(scope="module")
def url(ray_cluster):
    with served([ServedModel("m", "tiny/student")], CONFIG, access=LOCAL) as url:
        yield url


def test_what_a_start_waits_for_is_told(monkeypatch, capsys):
    monkeypatch.setattr(ray_serve, "SECONDS_WITHOUT_A_WORD", 0.01)
    monkeypatch.setattr(ray_serve, "_messages", lambda name: [f"{name}: no node\nhas 4 GPUs"])
    told, until = "", time.monotonic() + 60
    with ray_serve._waiting_told("mine"):
        while "serve: mine: no node has 4 GPUs\n" not in told and time.monotonic() < until:
            told += capsys.readouterr().err
    assert "serve: mine: no node has 4 GPUs\n" in told


@pytest.mark.slow
def test_a_serve_that_serves_nothing_is_in_nobodys_way(ray_cluster):
    """An evaluation leaves one behind on a cluster that stays, at a port of its own and open to its nodes."""
    ray.serve.shutdown()
    anywhere, student = "0.0.0.0", [ServedModel("m", "tiny/student")]  # noqa: S104
    with served(student, CONFIG, access=Access(anywhere, 0, "token")) as first:
        with pytest.raises(BadInput, match=r"listens on 0\.0\.0\.0, for others too: an endpoint there needs a token"):
            ray_serve._start_serve(LOCAL)
        with pytest.raises(BadInput, match="Ray Serve runs already on this cluster, at port"):
            ray_serve._start_serve(Access(anywhere, 1, "token"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for access in (Access("127.0.0.1", port), LOCAL):
        with served(student, CONFIG, access=access) as url:
            assert url == f"http://127.0.0.1:{port}/v1" != first
            assert httpx.get(f"{url}/models", timeout=30).status_code == 200
    ray.serve.shutdown()


def replica() -> psutil.Process:
    """The endpoint's process: they name themselves."""
    [found] = [
        p for p in psutil.process_iter(["cmdline"]) if "ServeReplica:ded_ray:Endpoint" in " ".join(p.info["cmdline"] or [])
    ]
    return found


def seconds_of(url: str, body: dict) -> float:
    started = time.monotonic()
    httpx.post(f"{url}/chat/completions", json=body, timeout=100).raise_for_status()
    return time.monotonic() - started


@pytest.mark.slow
def test_a_client_that_leaves_ends_its_computing(url):
    seconds_of(url, SHORT)
    process = replica()
    for stream in (True, False):
        parts = httpx.URL(url)
        body = json.dumps(LONG | {"stream": stream}).encode()
        head = f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection((parts.host, parts.port)) as client:
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(1.5)
        time.sleep(1.5)
        before, started = process.cpu_times().user, time.monotonic()
        time.sleep(2)
        assert (process.cpu_times().user - before) / (time.monotonic() - started) < 0.4, "it still computes"


@pytest.mark.slow
def test_a_short_request_does_not_wait_for_a_long_one(url):
    async def long(http, is_running):
        async with http.stream("POST", f"{url}/chat/completions", json=LONG | {"stream": True}) as response:
            async for _ in response.aiter_lines():
                is_running.set()

    async def both():
        is_running = asyncio.Event()
        async with httpx.AsyncClient(timeout=120) as http:
            task = asyncio.create_task(long(http, is_running))
            await is_running.wait()
            (await http.post(f"{url}/chat/completions", json=SHORT)).raise_for_status()
            assert not task.done(), "the long one was over before"
            task.cancel()

    asyncio.run(both())


@pytest.mark.slow
def test_a_crowd_is_answered_or_told_to_come_again(url):
    async def crowd():
        limits = httpx.Limits(max_connections=500)
        async with httpx.AsyncClient(timeout=120, limits=limits) as http:
            asked = [http.post(f"{url}/chat/completions", json=SHORT | {"max_tokens": 20, "seed": i}) for i in range(500)]
            return await asyncio.gather(*asked)

    answers = asyncio.run(crowd())
    codes = {answer.status_code for answer in answers}
    assert codes == {200, 429}, "40 may wait"
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 429)
    assert sum(answer.status_code == 200 for answer in answers) >= 40
    assert seconds_of(url, SHORT) < 5, "and then all is as before"


@pytest.mark.slow
def test_large_bodies_disturb_nobody(url):
    big = SHORT | {"messages": [{"role": "user", "content": "7 " * 4_000_000}]}

    async def both():
        async with httpx.AsyncClient(timeout=120) as http:
            large = asyncio.create_task(http.post(f"{url}/chat/completions", json=big))
            await asyncio.sleep(0.2)
            started = time.monotonic()
            (await http.get(f"{url}/models")).raise_for_status()
            return (await large).status_code, time.monotonic() - started

    status, seconds = asyncio.run(both())
    assert status == 413 and seconds < 5


@pytest.mark.slow
def test_a_killed_replica_is_replaced(url):
    seconds_of(url, SHORT)
    old = replica()
    old.kill()
    until = time.monotonic() + 90
    while time.monotonic() < until:
        try:
            seconds_of(url, SHORT)
            break
        except httpx.HTTPError:
            time.sleep(1)
    assert replica().pid != old.pid


@pytest.mark.slow
def test_a_second_endpoint_on_a_taken_port_is_refused(ray_cluster, url):
    with (
        pytest.raises(BadInput, match="Ray Serve runs already on this cluster, at port"),
        served([ServedModel("m", "tiny/student")], Serve(), access=Access("127.0.0.1", 1)),
    ):
        pass
    with (
        pytest.raises(BadInput, match="/ is served already"),
        served([ServedModel("m", "tiny/student")], Serve(), access=LOCAL),
    ):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_every_process_within_seconds(copied_quickstart, stop):
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    command = [*DED_RAY, "serve", str(copied_quickstart), "--models", "student", "--port", "0"]
    # What runs behind nohup ignores SIGINT, and so would its children.
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True, **heed) as serving:
        assert serving.stdout is not None
        line = serving.stdout.readline()
        assert "serving student at http://127.0.0.1:" in line
        url = line.split(" at ")[1].split()[0]
        assert httpx.get(f"{url}/models", timeout=30).json()["data"][0]["id"] == "student"
        family = psutil.Process(serving.pid).children(recursive=True)
        serving.send_signal(stop)
        assert serving.wait(30) == 0
        assert "stopped" in serving.stdout.read()
    _, alive = psutil.wait_procs(family, timeout=15)
    assert alive == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/models", timeout=5)
