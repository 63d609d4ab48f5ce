"""What goes between an endpoint and a model: a request that is understood, and what becomes of it."""

from dataclasses import dataclass, field
from typing import Any

from ded_ray.models.chat import Message


@dataclass(frozen=True)
class Ask:
    """One request to one model; `prompt` is chat messages, a text as the model sees it, or its tokens."""

    prompt: list[Message] | str | list[int]
    n: int = 1
    temperature: float = 1.0  # 0: always the likeliest token
    top_p: float = 1.0
    top_k: int = 0  # 0: all tokens
    min_p: float = 0.0
    max_tokens: int | None = None  # None: as much as the model's context holds
    seed: int | None = None  # completion i has the random stream seed + i
    stop: tuple[str, ...] = ()
    num_alternatives: int | None = None  # None: no log-probabilities
    template_arguments: dict[str, Any] = field(default_factory=dict)  # beside the messages


@dataclass(frozen=True)
class Token:
    """A sampled token, its log-probability at temperature 1, and the likeliest ones in its place."""

    text: str
    logprob: float
    alternatives: list[tuple[str, float]]


@dataclass
class Choice:
    """One completion, or what is new of it."""

    index: int
    text: str = ""
    finish_reason: str | None = None
    tokens: list[Token] = field(default_factory=list)  # where log-probabilities are asked for
    num_tokens: int = 0

    def add(self, news: "Choice") -> None:
        """What is new comes to what there is."""
        self.text += news.text
        self.tokens += news.tokens
        self.num_tokens += news.num_tokens
        self.finish_reason = news.finish_reason


class Refused(Exception):
    """Why a request is not answered, in OpenAI's words for it. `param` is the field that is at fault."""

    def __init__(
        self,
        message: str,
        param: str | None = None,
        *,
        status: int = 400,
        code: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


FAILED = Refused("the server failed; its log says why", kind="server_error", status=500)
