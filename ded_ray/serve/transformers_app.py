"""One model in the embedded engine, as a Ray Serve application behind /v1/chat/completions and /v1/models."""

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from ray import serve

from ded_ray.generate.engine import Request
from ded_ray.recipe import Chat, Sampling, Serve
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

    def __init__(self, model: str, served_name: str, config: Serve, chat: Chat) -> None:
        from ded_ray.generate.engines.transformers import TransformersModel

        num_threads, use_gpu = max(1, int(config.num_cpus)), config.num_gpus > 0
        self._engine, self._chat = TransformersModel(model, chat=chat, num_threads=num_threads, use_gpu=use_gpu), chat
        self._name, self._max_batch_size, self._created = served_name, config.max_batch_size, int(time.time())

    @app.get("/v1/models")
    async def models(self) -> dict[str, Any]:
        card = {"id": self._name, "object": "model", "created": self._created, "owned_by": "ded_ray"}
        return {"object": "list", "data": [card]}

    @app.post("/v1/chat/completions")
    async def chat(self, request: ChatRequest) -> JSONResponse:
        if request.model != self._name:
            message = f"model: {request.model!r} is not served here; GET /v1/models lists what is"
            return JSONResponse(error_response(message, param="model"), status_code=404)
        messages = self._chat.with_system([message.model_dump() for message in request.messages])
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
