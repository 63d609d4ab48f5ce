"""The part of OpenAI's chat API that is served. What is not supported is refused by name, never silently ignored."""

import time
import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ded_ray.records import Rollout


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(BaseModel):
    """POST /v1/chat/completions. Streaming, tools and penalties are not supported."""

    model_config = ConfigDict(extra="forbid")

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    n: Annotated[int, Field(ge=1, le=128)] = 1
    temperature: Annotated[float, Field(ge=0, le=10)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: int | None = None
    stream: Literal[False] = False
    user: str | None = None


def chat_response(model: str, rollouts: list[Rollout], num_prompt_tokens: int) -> dict[str, Any]:
    completion_tokens = sum(rollout.num_tokens for rollout in rollouts)
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": rollout.index,
                "message": {"role": "assistant", "content": rollout.completion},
                "finish_reason": rollout.finish_reason,
                "logprobs": None,
            }
            for rollout in rollouts
        ],
        "usage": {
            "prompt_tokens": num_prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": num_prompt_tokens + completion_tokens,
        },
    }


def error_response(message: str, kind: str = "invalid_request_error", param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}
