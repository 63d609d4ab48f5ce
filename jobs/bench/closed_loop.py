"""Clients in a closed loop, what they ask, and the model that they ask: for benchmarks of endpoints."""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

NUM_TOKENS = 64
"""Of every answer: random weights hardly ever end one."""

MODEL = {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 6,
         "num_key_value_heads": 2, "head_dim": 64}  # fmt: skip


def make_model(folder: Path) -> None:
    """Random weights, and the tokenizer of a shipped model with a vocabulary that is padded to 8,192."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    from ded_ray.models.load import model_path

    torch.manual_seed(0)
    AutoTokenizer.from_pretrained(model_path("tiny/student")).save_pretrained(folder)
    config = Qwen3Config(vocab_size=8192, tie_word_embeddings=True, max_position_embeddings=4096, **MODEL)
    Qwen3ForCausalLM(config).save_pretrained(folder)


def bodies(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Requests with prompts of many lengths."""
    draw = random.Random(seed)
    prompts = ["".join(draw.choice("0123456789+-* ") for _ in range(draw.randint(16, 512))) for _ in range(count)]
    return [
        {"model": "m", "messages": [{"role": "user", "content": prompt}], "max_tokens": NUM_TOKENS, "seed": i}
        for i, prompt in enumerate(prompts)
    ]


async def closed_loop(url: str, num_clients: int, requests: list[dict[str, Any]]) -> dict[str, float]:
    """Requests and tokens a second, and seconds to the first token (streamed) and to the end."""
    waiting, first, whole, tokens = list(reversed(requests)), [], [], 0

    async def client(http: httpx.AsyncClient) -> None:
        nonlocal tokens
        while waiting:
            body, started = waiting.pop() | {"stream": True, "stream_options": {"include_usage": True}}, time.monotonic()
            came = None
            async with http.stream("POST", f"{url}/chat/completions", json=body) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    event = json.loads(line[6:])
                    if came is None and any(choice["delta"].get("content") for choice in event["choices"]):
                        came = time.monotonic() - started
                    tokens += (event.get("usage") or {}).get("completion_tokens", 0)
            first.append(came or time.monotonic() - started)
            whole.append(time.monotonic() - started)

    started = time.monotonic()
    async with httpx.AsyncClient(timeout=600, limits=httpx.Limits(max_connections=num_clients)) as http:
        await asyncio.gather(*[client(http) for _ in range(num_clients)])
    seconds = time.monotonic() - started
    return {
        "requests_per_second": len(whole) / seconds,
        "tokens_per_second": tokens / seconds,
        "first_token_seconds": statistics.median(first),
        "p99_seconds": sorted(whole)[min(len(whole) - 1, int(0.99 * len(whole)))],
    }


async def whole_answers(url: str, num_clients: int, requests: list[dict[str, Any]]) -> float:
    """Tokens a second of answers that are not streamed."""
    waiting, tokens = list(reversed(requests)), 0

    async def client(http: httpx.AsyncClient) -> None:
        nonlocal tokens
        while waiting:
            response = await http.post(f"{url}/chat/completions", json=waiting.pop())
            tokens += response.raise_for_status().json()["usage"]["completion_tokens"]

    started = time.monotonic()
    async with httpx.AsyncClient(timeout=600, limits=httpx.Limits(max_connections=num_clients)) as http:
        await asyncio.gather(*[client(http) for _ in range(num_clients)])
    return tokens / (time.monotonic() - started)


@contextmanager
def program(*command: str, port: int, environment: dict[str, str] | None = None) -> Iterator[str]:
    """A server in a process of its own; yields its URL when it answers."""
    with subprocess.Popen(command, env=os.environ | {"PORT": str(port)} | (environment or {}), stdout=sys.stderr) as process:
        try:
            until = time.monotonic() + 600
            while time.monotonic() < until:
                if process.poll() is not None:
                    raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/openapi.json", timeout=5).status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
