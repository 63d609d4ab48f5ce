"""The endpoint itself: HTTP on one side, models on the other.

app = build_app({"student": EmbeddedBackend(model, config)}, settings, playground=None)
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from ded_ray.recipe import Serve
from ded_ray.serve.asked import FAILED, Refused
from ded_ray.serve.guard import App, Guard, digest
from ded_ray.serve.playground import Playground
from ded_ray.serve.protocol import ChatRequest, CompletionRequest, json_of
from ded_ray.serve.responses import event


@dataclass(frozen=True)
class Settings:
    """What an endpoint allows."""

    token_digest: bytes | None  # see guard.digest; None: no token is wanted
    max_body_bytes: int
    timeout_seconds: float  # for one request, from its first byte to its last
    nonce: str  # which start of which endpoint this is

    @classmethod
    def of(cls, config: Serve, token: str) -> "Settings":
        """What a recipe allows; no token is wanted if it is empty."""
        return cls(digest(token) if token else None, int(config.max_body_mib * 2**20), config.timeout_seconds, token_hex(8))


class Backend(Protocol):
    """One served model."""

    async def respond(self, body: Any, request: Request, *, is_chat: bool) -> Response:
        """Answer the JSON of a request. Raises Refused."""


def build_app(models: Mapping[str, Backend], settings: Settings, playground: Playground | None) -> App:
    """The ASGI application of an endpoint that serves these models by name."""
    app = FastAPI(title="ded_ray", docs_url=None, redoc_url=None)
    created = int(time.time())
    cards = [{"id": name, "object": "model", "created": created, "owned_by": "ded_ray"} for name in models]

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "models": list(models), "nonce": settings.nonce}

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": cards}

    @app.get("/v1/models/{name:path}")
    async def one_model(name: str) -> dict[str, Any]:
        _known(models, name)
        return next(card for card in cards if card["id"] == name)

    @app.post("/v1/chat/completions", openapi_extra=_schema_of(ChatRequest))
    async def chat(request: Request) -> Response:
        return await respond(request, is_chat=True)

    @app.post("/v1/completions", openapi_extra=_schema_of(CompletionRequest))
    async def completions(request: Request) -> Response:
        return await respond(request, is_chat=False)

    async def respond(request: Request, *, is_chat: bool) -> Response:
        body = json_of(await request.body())
        if not isinstance(body, dict) or not isinstance(name := body.get("model"), str):
            raise Refused("model: say which; GET /v1/models lists what is served", "model")
        backend = _known(models, name)
        try:
            async with asyncio.timeout(settings.timeout_seconds):
                response = await backend.respond(body, request, is_chat=is_chat)
        except TimeoutError as error:
            raise _too_late(settings.timeout_seconds) from error
        if isinstance(response, StreamingResponse):
            response.body_iterator = _in_time(aiter(response.body_iterator), settings.timeout_seconds)
        return response

    if playground is not None:
        app.get("/", include_in_schema=False, response_class=HTMLResponse)(playground.page)
        app.get("/playground/problems", include_in_schema=False)(playground.list_problems)
        app.post("/playground/check", include_in_schema=False)(playground.check)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        headers = {"retry-after": "1"} if error.status in {429, 503} else None
        return JSONResponse(error.body, error.status, headers)

    @app.exception_handler(HTTPException)
    async def no_such_path(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(Refused(str(error.detail)).body, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> JSONResponse:
        # Its text may hold a prompt: it goes to the replica's log, not to whoever asks.
        return JSONResponse(FAILED.body, FAILED.status)

    return Guard(app, settings.token_digest, settings.max_body_bytes)


def _known(models: Mapping[str, Backend], name: str) -> Backend:
    if name not in models:
        message = f"model: {name[:100]!r} is not served here; GET /v1/models lists what is"
        raise Refused(message, "model", status=404, code="model_not_found")
    return models[name]


def _too_late(seconds: float) -> Refused:
    return Refused(f"not answered within {seconds:g} s", status=504, kind="timeout_error")


def _schema_of(kind: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inlined(kind)}}}}


def _inlined(kind: Any) -> dict[str, Any]:
    """A model's JSON schema without references."""
    schema = kind.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolve(definitions[node["$ref"].rpartition("/")[2]])
            return {key: resolve(value) for key, value in node.items()}
        return [resolve(value) for value in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema)
    return resolved


async def _in_time(chunks: AsyncIterator[Any], seconds: float) -> AsyncIterator[Any]:
    """The chunks of a stream; one that takes too long ends with an error event."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    try:
        while True:
            async with asyncio.timeout_at(until):
                chunk = await anext(chunks)
            yield chunk
    except StopAsyncIteration:
        return
    except TimeoutError:
        yield event(_too_late(seconds).body)
