"""The part of OpenAI's API that is served. What is not supported is refused by name, never silently ignored."""

import json
import re
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ded_ray.models.chat import Message
from ded_ray.serve.asked import Ask, Refused

MAX_COMPLETIONS = 128
MAX_STOPS = 16
MAX_ALTERNATIVES = 20
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _text_of(content: Any) -> Any:
    """A content that is a list of text parts is their text; none at all is an empty one."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return content
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise ValueError("only parts of type 'text' are supported")
    return "".join(part["text"] for part in content)


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, BeforeValidator(_text_of)] = ""

    def message(self) -> Message:
        return {"role": "system" if self.role == "developer" else self.role, "content": self.content}


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


Nothing = (
    Literal[0, False] | Annotated[list[Any], Field(max_length=0)] | Annotated[dict[str, Any], Field(max_length=0)] | None
)
"""A field that is known and not supported: null, zero and empty say nothing."""


class Common(BaseModel):
    """What chat and plain completions share. Null is the same as leaving a field out. `top_k` (0 or -1: all) and `min_p`
    are vLLM's additions to OpenAI's API, as `chat_template_kwargs` is."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str
    n: Annotated[int, Field(ge=1, le=MAX_COMPLETIONS)] = 1
    temperature: Annotated[float, Field(ge=0, le=10)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=MAX_STOPS)] = []
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    user: str | None = None
    frequency_penalty: Nothing = None
    presence_penalty: Nothing = None
    logit_bias: Nothing = None

    @property
    def include_usage(self) -> bool:
        return self.stream and self.stream_options.include_usage

    def _ask(self, prompt: Any, *, max_tokens: int | None, num_alternatives: int | None) -> Ask:
        stops = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        return Ask(
            prompt,
            n=self.n,
            temperature=self.temperature if self.temperature >= 1e-5 else 0.0,  # below, logits overflow
            top_p=self.top_p,
            top_k=max(0, self.top_k),
            min_p=self.min_p,
            max_tokens=max_tokens,
            seed=self.seed,
            stop=tuple(filter(None, stops)),
            num_alternatives=num_alternatives,
        )


class TextFormat(BaseModel):
    type: Literal["text"]


class ChatRequest(Common):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_ALTERNATIVES)] = 0
    response_format: TextFormat | None = None
    metadata: dict[str, str] | None = None
    store: bool = False
    service_tier: str | None = None
    tools: Nothing = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    functions: Nothing = None
    chat_template_kwargs: dict[str, Any] = {}

    def asks(self) -> list[Ask]:
        if self.top_logprobs and not self.logprobs:
            raise Refused("top_logprobs: needs logprobs: true", "top_logprobs")
        max_tokens = self.max_completion_tokens or self.max_tokens
        alternatives = self.top_logprobs if self.logprobs else None
        ask = self._ask([m.message() for m in self.messages], max_tokens=max_tokens, num_alternatives=alternatives)
        return [replace(ask, template_arguments=self.chat_template_kwargs)]


class CompletionRequest(Common):
    """POST /v1/completions: prompts as the model sees them, without its chat template."""

    prompt: str | Annotated[list[str], Field(min_length=1)] | Annotated[list[int], Field(min_length=1)] | Annotated[
        list[Annotated[list[int], Field(min_length=1)]], Field(min_length=1)
    ]  # fmt: skip
    logprobs: Annotated[int, Field(ge=0, le=MAX_ALTERNATIVES)] | None = None
    best_of: Literal[1] | None = None
    echo: Nothing = None
    suffix: Nothing = None

    def asks(self) -> list[Ask]:
        whole = isinstance(self.prompt, str) or isinstance(self.prompt[0], int)
        prompts: list[Any] = [self.prompt] if whole else list(self.prompt)
        max_tokens = self.max_tokens or 16  # OpenAI's own default here
        return [self._ask(prompt, max_tokens=max_tokens, num_alternatives=self.logprobs) for prompt in prompts]


AnyRequest = TypeVar("AnyRequest", bound=BaseModel)


def json_of(body: bytes) -> Any:
    """What a body says. Raises Refused for what is not JSON in UTF-8; NaN, Infinity and half a surrogate pair are not."""
    try:
        text = body.decode()
        found = json.loads(text, parse_constant=_no_number)
        if SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise Refused("the body is not UTF-8") from error
    except UnicodeEncodeError as error:
        raise Refused("the body holds half a surrogate pair, which is no text") from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {str(error)[:200]}") from error
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def parsed(kind: type[AnyRequest], body: Any) -> AnyRequest:
    """A request's JSON as a request of this kind. Raises Refused, which names the field."""
    if not isinstance(body, dict):
        raise Refused("the body must be a JSON object")
    given = {name: value for name, value in body.items() if value is not None}
    try:
        return kind.model_validate(given, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        known = kind.model_fields.get(name)
        unsupported = first["type"] == "extra_forbidden" or (known is not None and known.annotation == Nothing)
        where = ".".join(str(part) for part in first["loc"] if not _names_a_type(part))
        raise Refused(f"{where}: {'not supported' if unsupported else first['msg']}", name) from error


def _names_a_type(part: Any) -> bool:
    """Pydantic puts the names of a union's types into the place of an error."""
    return isinstance(part, str) and (part in {"str", "int", "float"} or "[" in part)
