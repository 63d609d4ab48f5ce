"""How the gateway asks each kind of model: the embedded one by its deployment's handle, vLLM's by Ray's own ingress."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ValidationError

from ded_ray.serve.asked import Ask, Choice, Refused
from ded_ray.serve.protocol import ChatRequest, CompletionRequest, parsed
from ded_ray.serve.responses import DONE, Answer, event

FAILED = Refused("the server failed; its log says why", kind="server_error", status=500)


class Backend(Protocol):
    """One served model."""

    async def respond(self, body: Any, request: Request, *, is_chat: bool) -> Response:
        """Answer the JSON of a request. Raises Refused."""


class EmbeddedBackend:
    """A model of `embedded.py`, by the handle of its deployment."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def respond(self, body: Any, _: Request, *, is_chat: bool) -> Response:
        asked = parsed(ChatRequest, body) if is_chat else parsed(CompletionRequest, body)
        # With a seed of its own a request can be asked again when a replica dies, and gets the same answer.
        asks = [replace(ask, seed=random.getrandbits(48)) if ask.seed is None else ask for ask in asked.asks()]
        answer = Answer(asked.model, is_chat, has_logprobs=asks[0].num_alternatives is not None)
        if not asked.stream:
            answer.num_prompt_tokens, choices = await self._answer(asks)
            return JSONResponse(answer.whole(choices))
        news = self._stream(asks)
        started = _accepted(await anext(news))
        answer.num_prompt_tokens = started.num_prompt_tokens
        num_choices = sum(ask.n for ask in asks)
        events = _events(answer, news, num_choices=num_choices, include_usage=asked.include_usage)
        return StreamingResponse(events, media_type="text/event-stream")

    async def _answer(self, asks: list[Ask]) -> tuple[int, list[Choice]]:
        from ray.exceptions import RayActorError

        with _when_pressed():
            try:
                return _accepted(await self._handle.answer.remote(asks))
            except RayActorError:
                return _accepted(await self._handle.answer.remote(asks))

    async def _stream(self, asks: list[Ask]) -> AsyncIterator[Any]:
        with _when_pressed():
            async for news in self._handle.options(stream=True).stream.remote(asks):
                yield news


def _accepted(found: Any) -> Any:
    if isinstance(found, Refused):
        raise found
    return found


@contextmanager
def _when_pressed() -> Iterator[None]:
    """A model that has no place in its queue, or no replica, says so in a way that clients know to wait for."""
    from ray.exceptions import RayActorError
    from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

    try:
        yield
    except BackPressureError as error:
        raise Refused("too many requests wait already", status=429, kind="rate_limit_error") from error
    except (RayActorError, DeploymentUnavailableError) as error:
        raise Refused("the model is being started again", status=503, kind="server_error") from error


async def _events(
    answer: Answer, news: AsyncIterator[list[Choice]], *, num_choices: int, include_usage: bool
) -> AsyncIterator[str]:
    if answer.is_chat:
        yield answer.opening(num_choices)
    try:
        async for choices in news:
            yield answer.chunk(choices)
    except Exception:  # the boundary: the status was sent long ago, only an event can still say it
        yield event(FAILED.body)
        raise
    if include_usage:
        yield answer.usage_chunk()
    yield DONE


class VllmBackend:
    """A model of ray.serve.llm. What its requests may hold, and what it answers, are vLLM's own."""

    def __init__(self, name: str, handle: Any, card: Any) -> None:
        from ray.serve.llm.ingress import OpenAiIngress

        self._ingress = OpenAiIngress({name: handle}, {name: card})

    async def respond(self, body: Any, request: Request, *, is_chat: bool) -> Response:
        from ray.llm._internal.serve.core.configs.openai_api_models import (
            ChatCompletionRequest,
            CompletionRequest,
            OpenAIHTTPException,
        )

        try:
            with _when_pressed():
                if is_chat:
                    return await self._ingress.chat(ChatCompletionRequest.model_validate(body), request)
                return await self._ingress.completions(CompletionRequest.model_validate(body), request)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Refused(f"{where}: {first['msg']}", where) from error
        except OpenAIHTTPException as error:
            raise Refused(str(error.message)[:500], status=error.status_code) from error
