"""How an endpoint asks a model of the embedded engine, which its own replica holds."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from jinja2 import TemplateError
from ray.serve import metrics

from ded_ray.generate.engines.continuous import steps
from ded_ray.generate.engines.transformers import TransformersModel
from ded_ray.models.chat import Message
from ded_ray.models.sampling import Row
from ded_ray.recipe import Serve
from ded_ray.serve.asked import FAILED, Ask, Choice, Refused, Token
from ded_ray.serve.chunks import SECONDS_BETWEEN_CHUNKS
from ded_ray.serve.endpoint import ServedModel
from ded_ray.serve.protocol import ChatRequest, CompletionRequest, parsed
from ded_ray.serve.responses import DONE, Answer, event
from ded_ray.serve.text import TextStream

TEMPLATE_ERRORS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What a template may raise over what a client sends."""


class Completion:
    """One completion on its way to a client: the row that is computed, and what there is of its text."""

    def __init__(self, index: int, row: Row, engine: TransformersModel, ask: Ask) -> None:
        self.index, self._row, self._engine = index, row, engine
        self._text = TextStream(engine.chat.decode, ask.stop)
        self._has_logprobs, self._num_read, self.is_over = ask.num_alternatives is not None, 0, False

    def news(self) -> Choice | None:
        """What is new since the last call; None if nothing is."""
        row, start = self._row, self._num_read
        end, reason = len(row.tokens), row.finish_reason
        if self.is_over or (start == end and reason is None):
            return None
        self._num_read = end
        ids = row.tokens[start:end]
        self._text.push(ids[:-1] if reason == "stop" else ids, is_last=reason is not None)
        if self._text.is_stopped:
            row.finish_reason = reason = "stop"
        self.is_over = reason is not None
        tokens = [self._token(i) for i in range(start, end)] if self._has_logprobs else []
        return Choice(self.index, self._text.take(is_last=self.is_over), reason, tokens, end - start)

    @property
    def num_tokens(self) -> int:
        return len(self._row.tokens)

    def _token(self, i: int) -> Token:
        row, decode = self._row, self._engine.chat.tokenizer.decode
        others = [(decode([token]), logprob) for token, logprob in row.alternatives[i]] if row.alternatives else []
        return Token(decode([row.tokens[i]]), row.logprobs[i], others)


class EmbeddedBackend:
    """A loaded model that computes all its requests together, each from the moment it comes."""

    def __init__(self, model: ServedModel, config: Serve) -> None:
        self._engine = TransformersModel(
            model.model,
            chat=model.chat,
            num_threads=max(1, int(config.num_cpus)),
            use_gpu=config.num_gpus > 0,
            max_rows=config.max_batch_size,
            kv_cache_gib=config.kv_cache_gib,
        )
        self._chat, self._config = model.chat, config
        self._num_requests = 0
        self._tokens = metrics.Counter("ded_ray_tokens", "Tokens of completions.", tag_keys=("model",))
        self._rows = metrics.Gauge("ded_ray_rows", "Completions in the model.", tag_keys=("model", "state"))
        for metric in (self._tokens, self._rows):
            metric.set_default_tags({"model": model.name})  # Serve adds tags of its own to the dictionary

    async def respond(self, body: Any, _: Request, *, is_chat: bool) -> Response:
        if self._num_requests >= self._config.max_queued_requests:
            raise Refused("too many requests wait already", status=429, kind="rate_limit_error")
        asked = parsed(ChatRequest, body) if is_chat else parsed(CompletionRequest, body)
        self._num_requests += 1
        ends_itself = False
        try:
            asks = asked.asks()
            prompts = [await self._prompt_ids(ask) for ask in asks]
            answer = Answer(asked.model, is_chat, has_logprobs=asks[0].num_alternatives is not None)
            answer.num_prompt_tokens = sum(map(len, prompts))
            whole = [Choice(i) for i in range(sum(ask.n for ask in asks))]
            if asked.stream:
                ends_itself, news = True, self._stream(asks, prompts)
                first = await anext(news)  # once it has begun, it also ends where nobody reads it
                events = _events(answer, first, news, num_choices=len(whole), include_usage=asked.include_usage)
                return StreamingResponse(events, media_type="text/event-stream")
            async with aclosing(self._choices(asks, prompts, each_step=any(ask.stop for ask in asks))) as news:
                async for choices in news:
                    for choice in choices:
                        whole[choice.index].add(choice)
            return JSONResponse(answer.whole(whole))
        finally:
            self._num_requests -= not ends_itself

    async def _stream(self, asks: list[Ask], prompts: list[list[int]]) -> AsyncGenerator[list[Choice], None]:
        try:
            async with aclosing(self._choices(asks, prompts, each_step=True)) as news:
                async for choices in news:
                    yield choices
                    await asyncio.sleep(SECONDS_BETWEEN_CHUNKS)
        finally:
            self._num_requests -= 1

    async def _choices(
        self, asks: list[Ask], prompts: list[list[int]], *, each_step: bool
    ) -> AsyncGenerator[list[Choice], None]:
        """What is new of the completions, again and again until all are finished; cancels them when it is left."""
        stepped, completions, asked = asyncio.Event(), list[Completion](), []
        for ask, prompt in zip(asks, prompts, strict=True):
            rows = self._rows_of(ask, len(prompt))
            completions += [Completion(len(completions) + i, row, self._engine, ask) for i, row in enumerate(rows)]
            asked.append(self._engine.batch.submit(prompt, rows, stepped=stepped, each_step=each_step))
        self._note()
        try:
            async with aclosing(steps(asked)) as stepping:
                async for _ in stepping:
                    if news := [choice for completion in completions if (choice := completion.news())]:
                        yield news
        finally:
            if made := sum(completion.num_tokens for completion in completions):
                self._tokens.inc(made)
            self._note()

    def _note(self) -> None:
        self._rows.set(self._engine.batch.num_running, {"state": "running"})
        self._rows.set(self._engine.batch.num_waiting, {"state": "waiting"})

    def _rows_of(self, ask: Ask, num_prompt_tokens: int) -> list[Row]:
        most = min(self._engine.context - num_prompt_tokens, self._config.max_tokens or self._engine.context)
        seed = ask.seed if ask.seed is not None else random.getrandbits(48)
        return [
            Row(
                seed=(seed + i) % 2**63,
                max_tokens=min(ask.max_tokens or most, most),
                ends=self._engine.end_ids,
                temperature=ask.temperature,
                top_p=ask.top_p,
                top_k=ask.top_k,
                min_p=ask.min_p,
                num_alternatives=ask.num_alternatives or 0,
            )
            for i in range(ask.n)
        ]

    async def _prompt_ids(self, ask: Ask) -> list[int]:
        """The prompt's tokens. Raises Refused when the model cannot take it."""
        if isinstance(ask.prompt, str):
            self._check_characters(len(ask.prompt))
            ids = await asyncio.to_thread(self._engine.chat.encode, ask.prompt)
        elif isinstance(ask.prompt[0], dict):
            ids = await self._chat_ids(ask.prompt, ask.template_arguments)
        else:
            ids = ask.prompt
            if not all(0 <= token < self._engine.num_embeddings for token in ids):
                raise Refused(f"prompt: the model's tokens are 0 to {self._engine.num_embeddings - 1}", "prompt")
        if not ids:
            raise Refused("prompt: is empty", "prompt")
        self._check_length(len(ids))
        return ids

    async def _chat_ids(self, messages: list[Message], arguments: dict[str, Any]) -> list[int]:
        if taken := self._engine.chat.rendering_names & arguments.keys():
            message = f"chat_template_kwargs: {min(taken)!r} is not the template's to read"
            raise Refused(message, "chat_template_kwargs")
        self._check_characters(sum(len(message["content"]) for message in messages))
        try:
            return await asyncio.to_thread(self._engine.chat.message_ids, self._chat.with_system(messages), arguments)
        except TEMPLATE_ERRORS as error:
            reason = " ".join(str(error).split())[:200]
            raise Refused(f"messages: the model's chat template refuses them ({reason})", "messages") from error

    def _check_characters(self, number: int) -> None:
        self._check_length(number // self._engine.chat.longest_token, at_least="at least ")

    def _check_length(self, num_tokens: int, at_least: str = "") -> None:
        if num_tokens >= self._engine.context:
            message = f"messages: {at_least}{num_tokens} tokens, but the model's context is {self._engine.context}"
            raise Refused(message, "messages", code="context_length_exceeded")


async def _events(
    answer: Answer, first: list[Choice], rest: AsyncIterator[list[Choice]], *, num_choices: int, include_usage: bool
) -> AsyncIterator[str]:
    """A stream as OpenAI's clients know it."""
    if answer.is_chat:
        yield answer.opening(num_choices)
    yield answer.chunk(first)
    try:
        async for choices in rest:
            yield answer.chunk(choices)
    except Exception:  # the boundary: the status was sent long ago, only an event can still say it
        yield event(FAILED.body)
        raise
    if include_usage:
        yield answer.usage_chunk()
    yield DONE
