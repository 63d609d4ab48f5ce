"""A bucket for tests: a real S3 server, and in front of it a line that fails as real ones do."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import ClientSession, web

SLOW_DOWN = (
    "<?xml version='1.0' encoding='UTF-8'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate."
    "</Message><RequestId>1</RequestId></Error>"
)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def credentials(url: str) -> dict[str, str]:
    """The environment in which this store is found."""
    return {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip


def options(url: str) -> dict[str, str]:
    """The same for a process of a Ray that was started before the store: paths that are sent to it carry them along."""
    return {"endpoint_url": url, "key": "test", "secret": "test"}


@contextmanager
def s3_server() -> Iterator[str]:
    """Its URL; it has a bucket named `bucket`."""
    import botocore.session

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        session = botocore.session.get_session()
        session.create_client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106
        ).create_bucket(Bucket="bucket")
        yield url
    finally:
        server.kill()
        server.wait()


@contextmanager
def failing_line(url: str, *, busy: float = 0.05, cut: float = 0.05) -> Iterator[tuple[str, Counter[str]]]:
    """(a URL that leads to the store at `url`, what was done on the way, and bytes that came back): of the requests a share
    is answered 503, and of the uploads and of what is downloaded a share ends in the middle."""
    done, chance, port, loop = Counter[str](), random.Random(0), free_port(), asyncio.new_event_loop()

    async def handle(request: web.Request) -> web.StreamResponse:
        if chance.random() < busy:
            done["busy"] += 1
            return web.Response(status=503, text=SLOW_DOWN, content_type="application/xml")
        if request.method == "PUT" and chance.random() < cut:
            done["cut"] += 1
            await request.content.read(100)
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        done["passed"] += 1
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, f"{url}{request.raw_path}", headers=request.headers, data=await request.read(),
                skip_auto_headers=("Content-Type",),
            ) as answer,
        ):  # fmt: skip
            headers = {k: v for k, v in answer.headers.items() if k.lower() not in {"transfer-encoding", "connection"}}
            body = await answer.read()
            done["bytes"] += len(body)
            if request.method != "GET" or not body or chance.random() >= cut:
                return web.Response(status=answer.status, body=body, headers=headers)
            done["cut_off"] += 1
            half = web.StreamResponse(status=answer.status, headers=headers | {"Content-Length": str(len(body))})
            await half.prepare(request)
            await half.write(body[: len(body) // 2])
            assert request.transport is not None
            request.transport.close()
            return half

    async def serve() -> None:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, handle_signals=False, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()

    loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}", done
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """These in this process's environment, and what was there before afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
