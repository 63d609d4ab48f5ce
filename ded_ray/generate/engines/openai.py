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
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from ded_ray.errors import Stopped
from ded_ray.generate.engine import Answer, Refusal, Request, as_they_come
from ded_ray.generate.engines.budget import Budget, Cost, Reservation
from ded_ray.models.finish_reason import finish_reason_of
from ded_ray.models.thinking import with_thought
from ded_ray.recipe import OpenAIEngine
from ded_ray.records import Rollout

CHARACTERS_PER_TOKEN = 3
"""To reserve for a prompt before the endpoint has counted it; few languages have less."""


class Unusable(Exception):
    """The endpoint answered with something that is not an answer."""


SETTINGS_ARE_WRONG = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
FAILURES = (openai.APIError, TimeoutError, Unusable)
NOT_NOW = frozenset({408, 409, 429})
PAYMENT_REQUIRED = 402
NEVER_CONNECTED = frozenset({"ConnectError", "ConnectTimeout"})
"""Of the client's HTTP library, whichever of its versions that is."""

MINUTE = 60.0

backoff = wait_exponential_jitter(initial=0.5, max=60)


def wait(state: RetryCallState) -> float:
    """Exponential back-off with jitter, but no less than the endpoint asks for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.response.headers.get("retry-after", "") if isinstance(error, openai.APIStatusError) else ""
    return max(backoff(state), min(float(asked), 300) if asked.replace(".", "", 1).isdigit() else 0)


def may_pass(error: BaseException) -> bool:
    """Whether it may help to ask the same again."""
    if isinstance(error, openai.APIStatusError):
        return (error.status_code in NOT_NOW or error.status_code >= 500) and not out_of_money(error)
    return isinstance(error, openai.APIConnectionError | TimeoutError | Unusable)


def out_of_money(error: BaseException) -> bool:
    return isinstance(error, openai.APIStatusError) and (
        error.status_code == PAYMENT_REQUIRED or error.code == "insufficient_quota"
    )


def never_sent(error: BaseException) -> bool:
    """The endpoint cannot have seen, or charged for, this request."""
    if isinstance(error, openai.APIStatusError):
        return True
    return isinstance(error, openai.APIConnectionError) and type(error.__cause__).__name__ in NEVER_CONNECTED


class Endpoint:
    """An engine. One actor holds it, so that its rate limits and its budget are the whole run's."""

    def __init__(self, model: str, config: OpenAIEngine, *, key: SecretStr, costs: Path) -> None:
        self._model, self._config, self._costs, self._key = model, config, costs, key
        self._client = openai.AsyncOpenAI(
            base_url=config.base_url, api_key=key.get_secret_value(), timeout=config.timeout_seconds, max_retries=0
        )
        self._budget: Budget | None = None
        self._requests, self._tokens = limiter(config.requests_per_minute), limiter(config.tokens_per_minute)
        self._places = asyncio.Semaphore(config.in_flight)
        self._mean_tokens: float | None = None
        self._num_answered = 0

    async def generate(self, requests: list[Request]) -> AsyncIterator[Answer]:
        async for answer in as_they_come(self._answer, requests):
            yield answer

    async def _answer(self, request: Request) -> list[Rollout] | Refusal:
        self._budget = self._budget or Budget(self._config, self._costs)
        at_most = self._at_most(request, request.sampling.num_rollouts)
        async with self._places, self._budget.reservation(at_most) as reservation:
            rollouts: list[Rollout] = []
            try:
                await self._fill(rollouts, request, reservation)
            except (Stopped, *FAILURES) as error:
                if rollouts:  # a group that is too small was paid for all the same; what stops the run will do so again
                    return rollouts
                if isinstance(error, Stopped):
                    raise
                return self._refusal(error)
            return rollouts

    def _refusal(self, error: Exception) -> Refusal:
        """Of one prompt. Raises Stopped when no other would fare better."""
        where, reason = self._config.base_url, self._in_short(error)
        if isinstance(error, SETTINGS_ARE_WRONG):
            raise Stopped(f"{where} refuses the key, or has no model {self._model!r}: {reason}") from error
        if out_of_money(error):
            raise Stopped(f"{where} wants to be paid: {reason}") from error
        return Refusal(reason)

    async def _fill(self, rollouts: list[Rollout], request: Request, reservation: Reservation) -> None:
        """Ask until all are there: an endpoint may give fewer choices than it was asked for, or filter some."""
        wanted = request.sampling.num_rollouts
        for _ in range(wanted + self._config.max_retries):
            missing = wanted - len(rollouts)
            if not missing:
                return
            num_choices = min(missing, self._config.choices_per_request or missing)
            response = await self._ask(request, len(rollouts), num_choices, reservation)
            tokens = response.usage.completion_tokens // len(response.choices) if response.usage else 0
            for choice in response.choices[:missing]:
                if finish_reason_of(choice.finish_reason) != "other":
                    rollouts.append(self._rollout(request, len(rollouts), choice, tokens))
        raise Unusable(f"no usable choice; the last finish_reason is {response.choices[0].finish_reason!r}")

    async def _ask(self, request: Request, first: int, num_choices: int, reservation: Reservation) -> ChatCompletion:
        """One request, tried again where that may help. Raises Stopped when it failed until the end, and the endpoint has
        answered nobody since it first did: then it is down, and the prompt is not to blame."""
        answered_before: list[int] = []
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._config.max_retries + 1),
            retry=retry_if_exception(may_pass),
            wait=wait,
            after=lambda _: answered_before.append(self._num_answered),  # every failure
            reraise=True,
        )
        try:
            return await retrying(self._try, request, first, num_choices, reservation)
        except FAILURES as error:
            if may_pass(error) and self._num_answered == answered_before[0]:
                why = f"{self._config.max_retries} retries included: {self._in_short(error)}"
                raise Stopped(f"{self._config.base_url} answers nothing, {why}") from error
            raise

    async def _try(self, request: Request, first: int, num_choices: int, reservation: Reservation) -> ChatCompletion:
        assert self._budget is not None
        at_most = self._at_most(request, num_choices)
        await self._budget.reserve(reservation, self._at_most(request, request.sampling.num_rollouts - first))
        if self._requests:
            await self._requests.acquire()
        if self._tokens:
            expected = at_most.prompt_tokens + num_choices * (self._mean_tokens or request.sampling.max_tokens)
            await self._tokens.acquire(min(expected, self._tokens.max_rate))
        cost, request_name = at_most, self._budget.record_request(at_most)  # what is cut off may have cost all that it could
        try:
            async with asyncio.timeout(self._config.timeout_seconds):  # the client's own starts anew with every byte
                response = await self._client.chat.completions.create(**self._body(request, first, num_choices))
            if not isinstance(response, ChatCompletion) or not response.choices:
                raise Unusable("the endpoint's answer has no choices")
            self._num_answered += 1
            if response.usage:
                cost = Cost(response.usage.prompt_tokens, response.usage.completion_tokens)
                mean = response.usage.completion_tokens / len(response.choices)
                self._mean_tokens = mean if self._mean_tokens is None else 0.9 * self._mean_tokens + 0.1 * mean
        except openai.APIError as error:
            if never_sent(error):
                cost = Cost()
            if not isinstance(error, openai.APIResponseValidationError):
                raise
            raise Unusable(f"the endpoint's answer is not JSON: {self._in_short(error)}") from error
        except json.JSONDecodeError as error:
            raise Unusable(f"the endpoint's answer is not JSON: {self._in_short(error)}") from error
        finally:
            self._budget.record_cost(reservation, request_name, cost)
        return response

    def _at_most(self, request: Request, num_choices: int) -> Cost:
        """The most that this many choices can cost, with the prompt's tokens guessed from its length."""
        num_requests = -(-num_choices // (self._config.choices_per_request or num_choices))
        characters = sum(len(message["content"]) for message in request.messages)
        prompt_tokens = characters // CHARACTERS_PER_TOKEN + 16
        return Cost(num_requests * prompt_tokens, num_choices * request.sampling.max_tokens)

    def _body(self, request: Request, first: int, num_choices: int) -> dict[str, Any]:
        sampling, config = request.sampling, self._config
        body: dict[str, Any] = {
            "model": self._model,
            "messages": request.messages,
            "n": num_choices,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            config.max_tokens_name: sampling.max_tokens,
            "extra_body": config.extra_body,
        }
        if config.send_seed:
            body["seed"] = request.seed + first
        if config.logprobs:
            body["logprobs"] = True
        return body

    def _rollout(self, request: Request, index: int, choice: Choice, mean_tokens: int) -> Rollout:
        """`mean_tokens` stands for its length where there are no log-probabilities: the API only tells the sum."""
        message, logprobs = choice.message, [each.logprob for each in (choice.logprobs and choice.logprobs.content) or []]
        more = message.model_extra or {}
        thought = more.get("reasoning_content") or more.get("reasoning")
        return Rollout(
            index=index,
            completion=with_thought(thought or "", message.content or ""),
            num_tokens=len(logprobs) or mean_tokens,
            finish_reason=finish_reason_of(choice.finish_reason),
            seed=request.seed + index,
            mean_logprob=sum(logprobs) / len(logprobs) if logprobs else None,
        )

    def _in_short(self, error: Exception) -> str:
        """One line; some endpoints repeat the key that they refuse."""
        line = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if error.__cause__ is not None and isinstance(error, openai.APIConnectionError):
            line += f" ({type(error.__cause__).__name__}: {error.__cause__})"
        if self._config.api_key_env:
            line = line.replace(self._key.get_secret_value(), "$" + self._config.api_key_env)
        return line[:300]


def limiter(per_minute: float | None) -> AsyncLimiter | None:
    """At most `per_minute` a minute; with one or more, the first minute's at once."""
    if per_minute is None:
        return None
    return AsyncLimiter(per_minute, MINUTE) if per_minute >= 1 else AsyncLimiter(1, MINUTE / per_minute)
