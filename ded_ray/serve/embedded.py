"""One model in the embedded engine, as a Ray Serve deployment that the gateway asks."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

from ray import serve
from ray.serve import metrics

from ded_ray.models.chat import Message
from ded_ray.recipe import Chat, Serve
from ded_ray.serve.asked import Ask, Choice, Refused, Started, Token
from ded_ray.serve.text import TextStream

SECONDS_BETWEEN_CHUNKS = 0.04
"""Tokens of a stream that come within this time travel together: a message costs as much as a token of a small model."""


class Completion:
    """One completion on its way to a client: the row that is computed, and what there is of its text."""

    def __init__(self, index: int, row: Any, engine: Any, ask: Ask) -> None:
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


@serve.deployment
class EmbeddedModel:
    """A replica: a loaded model that computes all its requests together, each from the moment it comes."""

    def __init__(self, model: str, config: Serve, chat: Chat) -> None:
        from ded_ray.generate.engines.transformers import TransformersModel

        self._engine = TransformersModel(
            model,
            chat=chat,
            num_threads=max(1, int(config.num_cpus)),
            use_gpu=config.num_gpus > 0,
            max_rows=config.max_batch_size,
            kv_cache_gib=config.kv_cache_gib,
        )
        self._chat, self._max_tokens = chat, config.max_tokens
        self._tokens = metrics.Counter("ded_ray_tokens", "Tokens of completions.")
        self._rows = metrics.Gauge("ded_ray_rows", "Completions that are computed, or wait for it.", tag_keys=("state",))

    async def answer(self, asks: list[Ask]) -> tuple[int, list[Choice]] | Refused:
        """(prompt tokens, every completion whole)"""
        answered: list[Choice] = []
        started = Started(0)
        async for news in self._choices(asks, each_step=any(ask.stop for ask in asks)):
            if isinstance(news, Refused):
                return news
            if isinstance(news, Started):
                started, answered = news, [Choice(i) for i in range(sum(ask.n for ask in asks))]
                continue
            for choice in news:
                whole = answered[choice.index]
                whole.text += choice.text
                whole.finish_reason, whole.num_tokens = choice.finish_reason, whole.num_tokens + choice.num_tokens
                whole.tokens += choice.tokens
        return started.num_prompt_tokens, answered

    async def stream(self, asks: list[Ask]) -> AsyncIterator[Started | Refused | list[Choice]]:
        """`Started` and then what is new, again and again; or why not."""
        async for news in self._choices(asks, each_step=True):
            yield news
            await asyncio.sleep(SECONDS_BETWEEN_CHUNKS)

    async def _choices(self, asks: list[Ask], *, each_step: bool) -> AsyncIterator[Started | Refused | list[Choice]]:
        from ded_ray.generate.engines.continuous import steps

        try:
            prompts = [await self._prompt_ids(ask) for ask in asks]
        except Refused as refused:
            yield refused
            return
        stepped, completions, asked = asyncio.Event(), list[Completion](), []
        for ask, prompt in zip(asks, prompts, strict=True):
            rows = self._rows_of(ask, len(prompt))
            completions += [Completion(len(completions) + i, row, self._engine, ask) for i, row in enumerate(rows)]
            asked.append(self._engine.batch.submit(prompt, rows, stepped=stepped, each_step=each_step))
        yield Started(sum(map(len, prompts)))
        self._note()
        async for _ in steps(asked):
            if news := [choice for completion in completions if (choice := completion.news())]:
                yield news
        self._tokens.inc(sum(completion.num_tokens for completion in completions))
        self._note()

    def _note(self) -> None:
        self._rows.set(self._engine.batch.num_running, {"state": "running"})
        self._rows.set(self._engine.batch.num_waiting, {"state": "waiting"})

    def _rows_of(self, ask: Ask, num_prompt_tokens: int) -> list[Any]:
        from ded_ray.generate.engines.sampling import Row

        most = min(self._engine.context - num_prompt_tokens, self._max_tokens or self._engine.context)
        seed = ask.seed if ask.seed is not None else random.getrandbits(48)
        return [
            Row(
                seed=(seed + i) % 2**63,
                max_tokens=min(ask.max_tokens or most, most),
                ends=self._engine.end_ids,
                temperature=ask.temperature,
                top_p=ask.top_p,
                num_alternatives=ask.num_alternatives or 0,
            )
            for i in range(ask.n)
        ]

    async def _prompt_ids(self, ask: Ask) -> list[int]:
        """The prompt's tokens. Raises Refused when the model cannot take it."""
        if isinstance(ask.prompt, str):
            ids = await self._encode([{"role": "user", "content": ask.prompt}], is_chat=False)
        elif isinstance(ask.prompt[0], dict):
            ids = await self._encode(ask.prompt, is_chat=True)
        else:
            ids = ask.prompt
            if not all(0 <= token < self._engine.num_embeddings for token in ids):
                raise Refused(f"prompt: the model's tokens are 0 to {self._engine.num_embeddings - 1}", "prompt")
        if not ids:
            raise Refused("prompt: is empty", "prompt")
        self._check_length(len(ids))
        return ids

    async def _encode(self, messages: list[Message], *, is_chat: bool) -> list[int]:
        num_characters = sum(len(message["content"]) for message in messages)
        self._check_length(num_characters // self._engine.chat.longest_token, at_least="at least ")
        if not is_chat:
            return await asyncio.to_thread(self._engine.chat.encode, messages[0]["content"])
        from jinja2 import TemplateError

        try:
            return await asyncio.to_thread(self._engine.chat.message_ids, self._chat.with_system(messages))
        except (TemplateError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise Refused(f"messages: the model's chat template refuses them ({reason})", "messages") from error

    def _check_length(self, num_tokens: int, at_least: str = "") -> None:
        if num_tokens >= self._engine.context:
            message = f"messages: {at_least}{num_tokens} tokens, but the model's context is {self._engine.context}"
            raise Refused(message, "messages", code="context_length_exceeded")
