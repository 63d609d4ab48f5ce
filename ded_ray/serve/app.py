"""The door of the room: one model as a Ray Serve application behind /v1/chat/completions and /v1/models."""

import asyncio
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from ray import serve

from ded_ray.generate.engine import Request
from ded_ray.recipe import Sampling, Serve
from ded_ray.records import Rollout
from ded_ray.serve.protocol import ChatRequest, chat_response, error_response

BATCH_WAIT_SECONDS = 0.02

app = FastAPI(title="ded_ray")


@app.exception_handler(RequestValidationError)
async def invalid(_: Any, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"][1:])
    message = "not supported" if first["type"] == "extra_forbidden" else first["msg"]
    return JSONResponse(error_response(f"{param}: {message}", param=param), status_code=400)


def in_chunks(requests: list[Request], max_rollouts: int) -> Iterator[list[Request]]:
    """Requests with the same sampling, at most `max_rollouts` completions together (but at least one request)."""
    chunk: list[Request] = []
    for request in sorted(requests, key=lambda r: r.sampling.model_dump_json()):
        fits = (len(chunk) + 1) * request.sampling.num_rollouts <= max_rollouts
        if chunk and not (fits and request.sampling == chunk[0].sampling):
            yield chunk
            chunk = []
        chunk.append(request)
    if chunk:
        yield chunk


# Serve freezes the app at this decorator: what the methods use must stand above.
@serve.deployment
@serve.ingress(app)
class Endpoint:
    """One replica: a loaded model that answers waiting requests together."""

    def __init__(self, model: str, served_name: str, max_batch_size: int, num_threads: int, use_gpu: bool) -> None:
        from ded_ray.generate.transformers_engine import TransformersModel

        self._engine = TransformersModel(model, num_threads=num_threads, use_gpu=use_gpu)
        self._name, self._max_batch_size, self._created = served_name, max_batch_size, int(time.time())

    @app.get("/v1/models")
    async def models(self) -> dict[str, Any]:
        card = {"id": self._name, "object": "model", "created": self._created, "owned_by": "ded_ray"}
        return {"object": "list", "data": [card]}

    @app.post("/v1/chat/completions")
    async def chat(self, request: ChatRequest) -> JSONResponse:
        if request.model != self._name:
            message = f"model: {request.model!r} is not served here; GET /v1/models lists what is"
            return JSONResponse(error_response(message, param="model"), status_code=404)
        messages = [m.model_dump() for m in request.messages]
        num_prompt_tokens = self._engine.num_prompt_tokens(messages)
        room = self._engine.context - num_prompt_tokens
        if room < 1:
            message = f"messages: {num_prompt_tokens} tokens, but the model's context is {self._engine.context}"
            return JSONResponse(error_response(message, param="messages"), status_code=400)
        sampling = Sampling(
            num_rollouts=request.n,
            temperature=max(request.temperature, 1e-6),
            top_p=request.top_p,
            max_tokens=min(request.max_completion_tokens or request.max_tokens or room, room),
        )
        seed = request.seed if request.seed is not None else random.getrandbits(48)
        rollouts = await self._answer(Request(messages, sampling, seed % 2**63))
        return JSONResponse(chat_response(self._name, rollouts, num_prompt_tokens))

    @serve.batch(max_batch_size=256, batch_wait_timeout_s=BATCH_WAIT_SECONDS)
    async def _answer(self, requests: list[Request]) -> list[list[Rollout]]:
        """All waiting requests, in chunks that share their sampling and fit into one batch of the model."""
        answered: dict[int, list[Rollout]] = {}
        for chunk in in_chunks(requests, self._max_batch_size):
            # In a thread: the replica goes on taking requests while the model computes.
            for request, rollouts in await asyncio.to_thread(self._generate, chunk):
                answered[id(request)] = rollouts
        return [answered[id(request)] for request in requests]

    def _generate(self, chunk: list[Request]) -> list[tuple[Request, list[Rollout]]]:
        return list(self._engine.generate(chunk))


@contextmanager
def served(model: str, served_name: str, knobs: Serve, route: str = "") -> Iterator[str]:
    """Serve a model (hub name, folder or tiny/NAME) while the block runs; yields the endpoint's base URL.

    `route` is a prefix such as '/mine' that keeps endpoints of one cluster apart; '' is the root.

    The endpoint answers when the block begins, and its replicas are gone when it ends. Raises RuntimeError when they
    cannot start.
    """
    port = _start_serve(knobs.port)
    endpoint = Endpoint.options(  # type: ignore[attr-defined]
        num_replicas=knobs.replicas,
        max_ongoing_requests=1024,
        graceful_shutdown_wait_loop_s=0.1,
        ray_actor_options={"num_cpus": knobs.num_cpus, "num_gpus": knobs.num_gpus},
    ).bind(model, served_name, knobs.max_batch_size, max(1, int(knobs.num_cpus)), knobs.num_gpus > 0)
    app_name = f"ded_ray{route.replace('/', '-')}"
    serve.run(endpoint, name=app_name, route_prefix=route or "/")
    try:
        yield f"http://127.0.0.1:{port}{route}/v1"
    finally:
        serve.delete(app_name)


def _start_serve(port: int) -> int:
    """Start Serve on this port (0: a free one); where Serve runs already, its own port."""
    # The first start of a cluster decides; there is no public way to ask which port it took.
    client = serve.context._get_global_client(raise_if_no_controller_running=False)
    if client is None:
        if port == 0:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
        serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config={"log_level": "ERROR"})
        client = serve.context._get_global_client()
    return client.http_config.port
