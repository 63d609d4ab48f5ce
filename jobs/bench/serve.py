"""What an endpoint costs, in a closed loop: `python -m jobs.bench.serve`.

Clients ask again as soon as they are answered: 1, 8 and 64 of them, prompts of 16 to 512 tokens, answers of 64. A
Qwen3-shaped model with random weights; one computing thread on every side; each side in processes of its own, one side
after the other.

- offline_ratio: tokens a second of the embedded form at 64 clients over the same engine given all requests at once, without
  a server
- plain_loop_ratio: over a FastAPI program that calls `generate` for one request after another
- late_first_token_steps: the first token of a request that comes while 63 long ones run, in steps of those

`--form vllm` compares ray.serve.llm's form with `vllm serve` instead, the same engine, model and settings. Both run, and are
asked in turn, so that what else the machine does meets both; of each number the median of the rounds counts:

- requests_ratio: requests a second at 64 clients, ours over theirs
- first_token_ratio, p99_ratio: medians of the time to the first token, and the 99th percentile of whole answers
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from jobs.bench.closed_loop import NUM_TOKENS, bodies, closed_loop, make_model, program, whole_answers

CLIENTS, REQUESTS, ROUNDS = (1, 8, 64), {1: 6, 8: 32, 64: 192}, 5
LATE_REQUESTS = 7


async def late_first_token_steps(url: str) -> float:
    """Seconds until a late request has its first token, over the seconds of a step of 63 long ones: the median of a few."""
    long = {"model": "m", "messages": [{"role": "user", "content": "1+2"}], "max_tokens": 400, "stream": True, "n": 63}
    async with httpx.AsyncClient(timeout=600) as http, http.stream("POST", f"{url}/chat/completions", json=long) as running:
        lines, come = running.aiter_lines(), []
        async for line in lines:
            if line.startswith("data: {"):
                come.append((time.monotonic(), line.count('"index"')))
            if len(come) == 12:
                break
        step = (come[-1][0] - come[2][0]) / (sum(n for _, n in come[3:]) / 63)
        body = bodies(1)[0] | {"stream": True, "max_tokens": 2, "messages": [{"role": "user", "content": "3+4"}]}
        return statistics.median([await _seconds_to_first_token(http, url, body) for _ in range(LATE_REQUESTS)]) / step


async def _seconds_to_first_token(http: httpx.AsyncClient, url: str, body: dict[str, Any]) -> float:
    started = time.monotonic()
    async with http.stream("POST", f"{url}/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if '"delta": {"content": ' in line:
                return time.monotonic() - started
    return float("nan")


def measure(url: str) -> dict[str, Any]:
    warm(url)
    return {str(n): asyncio.run(closed_loop(url, n, bodies(REQUESTS[n], seed=n))) for n in CLIENTS}


def warm(url: str) -> None:
    asyncio.run(closed_loop(url, 4, bodies(8, seed=9)))


def measure_in_turn(urls: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The medians of ROUNDS rounds; no prompt comes twice, which an engine would remember."""
    for url in urls.values():
        warm(url)
    found: dict[str, dict[str, Any]] = {name: {} for name in urls}
    for n in CLIENTS:
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in urls}
        for r in range(ROUNDS):
            for name, url in urls.items():
                rounds[name].append(asyncio.run(closed_loop(url, n, bodies(REQUESTS[n], seed=100 * r + n))))
        for name, of_side in rounds.items():
            found[name][str(n)] = {key: statistics.median(one[key] for one in of_side) for key in of_side[0]}
            found[name][f"{n}, all rounds"] = [one["requests_per_second"] for one in of_side]
    return found


def ours(model: Path) -> None:
    """The embedded form; prints its numbers."""
    from ded_ray.recipe import Serve
    from ded_ray.runtime.connect import start_ray
    from ded_ray.serve.endpoint import LOCAL, ServedModel
    from ded_ray.serve.ray_serve import served

    start_ray(num_cpus=4)
    with served([ServedModel("m", str(model))], Serve(), access=LOCAL) as url:
        found = measure(url)
        found["whole"] = asyncio.run(whole_answers(url, 64, bodies(REQUESTS[64], seed=64)))
        found["late"] = asyncio.run(late_first_token_steps(url))
    print(json.dumps(found))


def offline(model: Path) -> None:
    """The same engine given everything at once: tokens a second."""
    from ded_ray.generate.engine import Request
    from ded_ray.generate.engines.transformers import TransformersModel
    from ded_ray.recipe import Sampling

    os.nice(15)  # as Ray's workers
    engine = TransformersModel(str(model), max_rows=64)

    async def all_at_once(requests: list[dict[str, Any]]) -> int:
        sampling = Sampling(num_rollouts=1, max_tokens=NUM_TOKENS)
        asked = [Request(body["messages"], sampling, body["seed"]) for body in requests]
        answers: list[Any] = [answer async for _, answer in engine.generate(asked)]
        return sum(rollouts[0].num_tokens for rollouts in answers)

    asyncio.run(all_at_once(bodies(8, seed=9)))
    started = time.monotonic()
    tokens = asyncio.run(all_at_once(bodies(REQUESTS[64], seed=64)))
    print(json.dumps(tokens / (time.monotonic() - started)))


def plain_loop(model: Path) -> None:
    """What a user writes in ten minutes: FastAPI and `generate`, one request after another. Serves until it is killed."""
    import threading

    import torch
    import uvicorn
    from fastapi import FastAPI
    from transformers import AutoModelForCausalLM, AutoTokenizer

    os.nice(15)
    torch.set_num_threads(1)
    tokenizer, loaded = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    app, lock = FastAPI(), threading.Lock()

    @app.post("/v1/chat/completions")
    def chat(body: dict[str, Any]) -> dict[str, Any]:
        ids = tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, return_tensors="pt")
        with lock:
            out = loaded.generate(**ids, max_new_tokens=body["max_tokens"], do_sample=True)
        new = out[0, ids["input_ids"].shape[1] :]
        content = tokenizer.decode(new, skip_special_tokens=True)
        return {"choices": [{"message": {"content": content}}], "usage": {"completion_tokens": len(new)}}

    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="error")


def vllm_form(model: Path) -> None:
    """ray.serve.llm's form. Serves until it is terminated."""
    from ded_ray.recipe import Serve, VllmEngine
    from ded_ray.runtime.connect import start_ray
    from ded_ray.serve.endpoint import Access, ServedModel
    from ded_ray.serve.ray_serve import served

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    engine = VllmEngine(device="cpu", dtype="float32", max_num_seqs=64, max_model_len=2048)
    start_ray(num_cpus=6)
    access = Access("127.0.0.1", int(os.environ["PORT"]))
    with served([ServedModel("m", str(model), engine=engine)], Serve(), access=access):
        signal.pause()


def side(name: str, model: Path) -> Any:
    command = [sys.executable, "-m", "jobs.bench.serve", "--side", name, "--model", str(model)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare_embedded(model: Path) -> dict[str, Any]:
    found, alone = side("ours", model), side("offline", model)
    command = [sys.executable, "-m", "jobs.bench.serve", "--side", "plain_loop", "--model", str(model)]
    with program(*command, port=8377) as url:
        asyncio.run(whole_answers(url, 2, bodies(4, seed=9)))
        plain = asyncio.run(whole_answers(url, 64, bodies(REQUESTS[64] // 4, seed=64)))
    return found | {
        "offline": alone,
        "plain_loop": plain,
        "offline_ratio": found["whole"] / alone,
        "streamed_offline_ratio": found["64"]["tokens_per_second"] / alone,
        "plain_loop_ratio": found["whole"] / plain,
        "late_first_token_steps": found["late"],
    }


def compare_vllm(model: Path) -> dict[str, Any]:
    from ded_ray.generate.engines.vllm import cpu_environment

    our_command = [sys.executable, "-m", "jobs.bench.serve", "--side", "vllm_form", "--model", str(model)]
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server",  # the CPU build's `vllm serve` does not start
        "--model", str(model), "--served-model-name", "m", "--port", "8378",
        "--dtype", "float32", "--max-num-seqs", "64", "--max-model-len", "2048", "--enforce-eager",
        "--kv-cache-memory-bytes", str(2**30), "--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192",
    ]  # fmt: skip
    their_program = program("nice", "-n", "15", *command, port=8378, environment=cpu_environment(1))
    with program(*our_command, port=8379) as our_url, their_program as their_url:
        found = measure_in_turn({"ours": our_url, "vllm_serve": their_url})
    ours, theirs = found["ours"], found["vllm_serve"]
    ratios = {
        name: ours["64"][key] / theirs["64"][key]
        for name, key in [("requests_ratio", "requests_per_second"), ("first_token_ratio", "first_token_seconds"),
                          ("p99_ratio", "p99_seconds")]
    }  # fmt: skip
    return found | ratios


SIDES = {"ours": ours, "offline": offline, "plain_loop": plain_loop, "vllm_form": vllm_form}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--form", choices=["embedded", "vllm"], default="embedded")
    parser.add_argument("--side", choices=list(SIDES), help="used by the benchmark itself: one side in this process")
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    if arguments.side:
        SIDES[arguments.side](arguments.model)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder))
        compare = compare_vllm if arguments.form == "vllm" else compare_embedded
        print(json.dumps(compare(Path(folder)), default=lambda number: round(number, 3)))


if __name__ == "__main__":
    main()
