"""Any OpenAI-compatible endpoint behind the seam, with OpenAI's own client."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
from aiolimiter import AsyncLimiter
from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion import Choice
from pydantic import SecretStr
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from ded_ray.generate.engine import Answer, Refusal, Request, as_they_come
from ded_ray.generate.purse import Cost, Envelope, Purse
from ded_ray.knobs import Stopped
from ded_ray.recipe import OpenAIEngine
from ded_ray.records import Rollout

CHARACTERS_PER_TOKEN = 3
"""To reserve for a prompt before the endpoint has counted it; few languages have less."""


class Unusable(Exception):
    """The endpoint answered with something that is not an answer."""


REFUSED_FOR_NOW = (openai.RateLimitError, openai.InternalServerError, openai.ConflictError)
WORTH_A_RETRY = (*REFUSED_FOR_NOW, openai.APIConnectionError, TimeoutError, Unusable)
SETTINGS_ARE_WRONG = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)

backoff = wait_exponential_jitter(initial=0.5, max=60)


def wait(state: RetryCallState) -> float:
    """Exponential back-off with jitter, but no less than the endpoint asks for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.response.headers.get("retry-after", "") if isinstance(error, openai.APIStatusError) else ""
    return max(backoff(state), min(float(asked), 300) if asked.replace(".", "", 1).isdigit() else 0)


class Endpoint:
    """An engine. One actor holds it, so that its rates and its purse are the whole run's."""

    def __init__(self, model: str, knobs: OpenAIEngine, key: SecretStr, spent: Path) -> None:
        self._model, self._knobs, self._spent = model, knobs, spent
        self._client = openai.AsyncOpenAI(
            base_url=knobs.base_url, api_key=key.get_secret_value(), timeout=knobs.timeout_seconds, max_retries=0
        )
        self._purse: Purse | None = None
        self._requests = AsyncLimiter(knobs.requests_per_minute) if knobs.requests_per_minute else None
        self._tokens = AsyncLimiter(knobs.tokens_per_minute) if knobs.tokens_per_minute else None
        self._mean_tokens: float | None = None

    async def generate(self, requests: list[Request]) -> AsyncIterator[Answer]:
        async for answer in as_they_come(self._answer, requests):
            yield answer

    async def _answer(self, request: Request) -> list[Rollout] | Refusal:
        self._purse = self._purse or Purse(self._knobs, self._spent)
        async with self._purse.envelope(self._at_most(request, request.sampling.num_rollouts)) as envelope:
            rollouts: list[Rollout] = []
            try:
                await self._fill(rollouts, request, envelope)
            except SETTINGS_ARE_WRONG as error:
                why = f"{self._knobs.base_url} refuses the key, or has no model {self._model!r}: {_in_short(error)}"
                raise Stopped(why) from error
            except (openai.APIError, TimeoutError, Unusable) as error:
                return rollouts or Refusal(_in_short(error))  # a group that is too small was paid for all the same
            return rollouts

    async def _fill(self, rollouts: list[Rollout], request: Request, envelope: Envelope) -> None:
        """Ask until all are there: an endpoint may give fewer choices than it was asked for, or filter some."""
        wanted = request.sampling.num_rollouts
        for _ in range(wanted + self._knobs.max_retries):
            missing = wanted - len(rollouts)
            if not missing:
                return
            num_choices = min(missing, self._knobs.choices_per_request or missing)
            response = await self._ask(request, len(rollouts), num_choices, envelope)
            tokens = response.usage.completion_tokens // len(response.choices) if response.usage else 0
            for choice in response.choices[:missing]:
                if choice.finish_reason in {"stop", "length"}:
                    rollouts.append(self._rollout(request, len(rollouts), choice, tokens))
        raise Unusable(f"no usable choice; the last finish_reason is {response.choices[0].finish_reason!r}")

    async def _ask(self, request: Request, first: int, num_choices: int, envelope: Envelope) -> ChatCompletion:
        """One request, tried again where that may help."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._knobs.max_retries + 1),
            retry=retry_if_exception_type(WORTH_A_RETRY),
            wait=wait,
            reraise=True,
        )
        return await retrying(self._try, request, first, num_choices, envelope)

    async def _try(self, request: Request, first: int, num_choices: int, envelope: Envelope) -> ChatCompletion:
        assert self._purse is not None
        at_most = self._at_most(request, num_choices)
        await self._purse.reserve(envelope, self._at_most(request, request.sampling.num_rollouts - first))
        if self._requests:
            await self._requests.acquire()
        if self._tokens:
            expected = at_most.prompt_tokens + num_choices * (self._mean_tokens or request.sampling.max_tokens)
            await self._tokens.acquire(min(expected, self._tokens.max_rate))
        cost = at_most  # of what is cut off: it may have cost all that it could
        try:
            async with asyncio.timeout(self._knobs.timeout_seconds):  # the client's own starts anew with every byte
                response = await self._client.chat.completions.create(**self._body(request, first, num_choices))
            if not isinstance(response, ChatCompletion) or not response.choices:
                raise Unusable("the endpoint's answer has no choices")
            if response.usage:
                cost = Cost(response.usage.prompt_tokens, response.usage.completion_tokens)
                mean = response.usage.completion_tokens / len(response.choices)
                self._mean_tokens = mean if self._mean_tokens is None else 0.9 * self._mean_tokens + 0.1 * mean
        except openai.APIStatusError:
            cost = Cost()
            raise
        except (json.JSONDecodeError, openai.APIResponseValidationError) as error:
            raise Unusable(f"the endpoint's answer is not JSON: {_in_short(error)}") from error
        finally:
            envelope.spent += cost
        return response

    def _at_most(self, request: Request, num_choices: int) -> Cost:
        """What so many choices can cost; before the endpoint has counted the prompt, by its length."""
        num_requests = -(-num_choices // (self._knobs.choices_per_request or num_choices))
        characters = sum(len(message["content"]) for message in request.messages)
        prompt_tokens = characters // CHARACTERS_PER_TOKEN + 16
        return Cost(num_requests * prompt_tokens, num_choices * request.sampling.max_tokens)

    def _body(self, request: Request, first: int, num_choices: int) -> dict[str, Any]:
        sampling, knobs = request.sampling, self._knobs
        body: dict[str, Any] = {
            "model": self._model,
            "messages": request.messages,
            "n": num_choices,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            knobs.max_tokens_name: sampling.max_tokens,
            "extra_body": knobs.extra_body,
        }
        if knobs.send_seed:
            body["seed"] = request.seed + first
        if knobs.logprobs:
            body["logprobs"] = True
        return body

    def _rollout(self, request: Request, index: int, choice: Choice, mean_tokens: int) -> Rollout:
        """`mean_tokens` stands for its length where there are no log-probabilities: the API only tells the sum."""
        message, logprobs = choice.message, [each.logprob for each in (choice.logprobs and choice.logprobs.content) or []]
        more = message.model_extra or {}
        thought = more.get("reasoning_content") or more.get("reasoning")
        return Rollout(
            index=index,
            completion=(f"<think>\n{thought}\n</think>\n\n" if thought else "") + (message.content or ""),
            num_tokens=len(logprobs) or mean_tokens,
            finish_reason="length" if choice.finish_reason == "length" else "stop",
            seed=request.seed + index,
            mean_logprob=sum(logprobs) / len(logprobs) if logprobs else None,
        )


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
