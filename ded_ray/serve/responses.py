"""What clients get, in the shapes of OpenAI's API: whole answers, and chunks of a stream."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ded_ray.serve.asked import Choice, Token


@dataclass
class Answer:
    """One response of an endpoint, whole or in chunks. `is_chat` tells the two kinds of completions apart."""

    model: str
    is_chat: bool
    has_logprobs: bool = False
    id: str = field(init=False)
    created: int = field(default_factory=lambda: int(time.time()))
    num_prompt_tokens: int = 0
    num_tokens: int = 0

    def __post_init__(self) -> None:
        self.id = f"{'chatcmpl' if self.is_chat else 'cmpl'}-{uuid.uuid4().hex}"

    def whole(self, choices: Sequence[Choice]) -> dict[str, Any]:
        self.num_tokens = sum(choice.num_tokens for choice in choices)
        kind = "chat.completion" if self.is_chat else "text_completion"
        return self._head(kind) | {"choices": [self._choice(c, "message") for c in choices], "usage": self.usage()}

    def chunk(self, choices: Sequence[Choice]) -> str:
        """One event of a stream."""
        self.num_tokens += sum(choice.num_tokens for choice in choices)
        return event(self._chunk([self._choice(choice, "delta") for choice in choices]))

    def opening(self, num_choices: int) -> str:
        """The first event of a chat: who speaks."""
        delta = {"role": "assistant", "content": ""}
        choices = [{"index": i, "delta": delta, "logprobs": None, "finish_reason": None} for i in range(num_choices)]
        return event(self._chunk(choices))

    def usage_chunk(self) -> str:
        """The last event, where a client asked for it."""
        return event(self._chunk([]) | {"usage": self.usage()})

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return self._head("chat.completion.chunk" if self.is_chat else "text_completion") | {"choices": choices}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "system_fingerprint": None}

    def usage(self) -> dict[str, int]:
        total = self.num_prompt_tokens + self.num_tokens
        return {"prompt_tokens": self.num_prompt_tokens, "completion_tokens": self.num_tokens, "total_tokens": total}

    def _choice(self, choice: Choice, name: str) -> dict[str, Any]:
        logprobs = (_chat_logprobs if self.is_chat else _plain_logprobs)(choice.tokens) if self.has_logprobs else None
        own: dict[str, Any] = {"index": choice.index, "finish_reason": choice.finish_reason, "logprobs": logprobs}
        if not self.is_chat:
            return own | {"text": choice.text}
        role = {"role": "assistant", "refusal": None} if name == "message" else {}
        return own | {name: role | {"content": choice.text}}


def _chat_logprobs(tokens: Sequence[Token]) -> dict[str, Any]:
    return {
        "content": [
            _logprob(token.text, token.logprob) | {"top_logprobs": [_logprob(*other) for other in token.alternatives]}
            for token in tokens
        ],
        "refusal": None,
    }


def _logprob(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _plain_logprobs(tokens: Sequence[Token]) -> dict[str, Any]:
    ends = [0]
    for token in tokens:
        ends.append(ends[-1] + len(token.text))
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(token.alternatives) for token in tokens],
        "text_offset": ends[:-1],
    }


def event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False, allow_nan=False)}\n\n"


DONE = "data: [DONE]\n\n"
