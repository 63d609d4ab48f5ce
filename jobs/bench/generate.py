"""Tokens per second of our generation against plain vLLM and against ray.data.llm: `python -m jobs.bench.generate`.

All three answer the same prompts G times with the same engine settings, each in a process of its own, one after the
other; the time runs from the first request that an engine gets to the last row that is there, so that no engine's start
counts. ray.data.llm gets each prompt G times, with the settings of its documentation ("Working with LLMs": batch_size 32,
concurrency 1, all else its defaults; without a GPU executor "mp"); `ray_llm_tuned` is the same with smaller batches, more
of them and the process layout that ours has. Without a GPU: vLLM's CPU build and a Qwen3-shaped model of 20M parameters
with random weights, whose answers end by chance. With one:

    python -m jobs.bench.generate --device gpu --model Qwen/Qwen3-8B --max-tokens 2048 --problems 512
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ded_ray.models.load import model_path
from ded_ray.recipe import Sampling, Teacher, VllmEngine

WAYS = ("plain", "ours", "ray_llm", "ray_llm_tuned")


def make_model(folder: Path) -> None:
    """20M random parameters over the tiny world's tokenizer."""
    import shutil

    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    tiny = Path(model_path("tiny/careful"))
    config = Qwen3Config(
        hidden_size=448, intermediate_size=1344, num_hidden_layers=8, num_attention_heads=7, num_key_value_heads=7,
        head_dim=64, vocab_size=264, max_position_embeddings=2048, eos_token_id=257, pad_token_id=256,
        tie_word_embeddings=True,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(tiny / name, folder / name)


def settings(arguments: argparse.Namespace) -> tuple[VllmEngine, Sampling]:
    cpu = {"device": "cpu", "dtype": "float32", "max_model_len": 1024, "max_num_seqs": arguments.max_num_seqs}
    gpu = {"device": "gpu", "max_num_seqs": arguments.max_num_seqs}
    engine = VllmEngine.model_validate(cpu if arguments.device == "cpu" else gpu)
    return engine, Sampling(num_rollouts=arguments.rollouts, max_tokens=arguments.max_tokens)


def problems(arguments: argparse.Namespace) -> list[Any]:
    from ded_ray.tiny.problems import make_problems

    return make_problems("chain", arguments.problems, (3, 10), seed=0)


def plain(arguments: argparse.Namespace) -> tuple[int, float]:
    """`vllm.LLM`, all prompts at once."""
    from ded_ray.generate.engines.vllm import engine_arguments, prepare_cpu

    engine, sampling = settings(arguments)
    if arguments.device == "cpu":
        prepare_cpu(1)
    from vllm import LLM, SamplingParams

    llm = LLM(**engine_arguments(arguments.model, engine) | {"disable_log_stats": True})
    asked = problems(arguments)
    started = time.perf_counter()
    outputs = llm.chat(
        [[{"role": "user", "content": problem.prompt}] for problem in asked],
        [SamplingParams(n=sampling.num_rollouts, max_tokens=sampling.max_tokens, seed=1000 * i, logprobs=0)
         for i in range(len(asked))],
        use_tqdm=False,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    return sum(len(each.token_ids) for output in outputs for each in output.outputs), seconds


def ours(arguments: argparse.Namespace) -> tuple[int, float]:
    """`generate`, as a run does it: groups saved, monitored, and read as they come."""
    import pyarrow.parquet as pq
    import ray

    from ded_ray.generate.identity import GenerateJob
    from ded_ray.generate.monitor import EngineMonitor
    from ded_ray.generate.ray_data import generate
    from ded_ray.records import Problem, to_table
    from ded_ray.runtime.connect import start_ray
    from ded_ray.runtime.progress import progress, start_actor

    start_ray(num_cpus=8)
    asked, (engine, sampling) = problems(arguments), settings(arguments)
    generator = Teacher(model=arguments.model, engine=engine, sampling=sampling)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pq.write_table(to_table(asked, Problem), folder / "problems.parquet")
        quarantine = folder / "quarantine.jsonl"
        job = GenerateJob(generator, 0, folder / "groups", quarantine)
        with (
            progress("answers", len(asked), "problems", start_actor(EngineMonitor, quarantine, 0)) as monitor,
            generate(job, folder / "problems.parquet", monitor) as groups,
        ):
            rollouts = [rollout for row in groups.iter_rows() for rollout in row["rollouts"]]
            seconds = ray.get(monitor.read.remote())["working"]
    if len(rollouts) != arguments.problems * arguments.rollouts:
        raise RuntimeError(f"{len(rollouts)} rollouts")
    return sum(rollout["num_tokens"] for rollout in rollouts), seconds


def ray_llm(arguments: argparse.Namespace) -> tuple[int, float]:
    """ray.data.llm's processor over each prompt G times."""
    import os

    from ded_ray.generate.engines.vllm import engine_arguments, prepare_cpu
    from ded_ray.runtime.connect import start_ray

    engine, sampling = settings(arguments)
    cpu, tuned = arguments.device == "cpu", arguments.way == "ray_llm_tuned"
    known = engine_arguments(arguments.model, engine)
    if cpu and not tuned:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
        known["distributed_executor_backend"] = "mp"
    if cpu:
        prepare_cpu(1)
    start_ray(num_cpus=8)
    import ray
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    wanted = ("OMP_NUM_THREADS", "VLLM_CPU_OMP_THREADS_BIND", "TORCHDYNAMO_DISABLE", "VLLM_ENABLE_V1_MULTIPROCESSING")
    chosen: dict[str, Any] = {"batch_size": 32, "concurrency": 1}
    if tuned:
        small = {"num_cpus": 0.5}
        chosen = {
            "batch_size": 16, "concurrency": (1, 1), "max_concurrent_batches": max(8, 2 * arguments.max_num_seqs // 16),
            "chat_template_stage": small, "tokenize_stage": small, "detokenize_stage": small,
        }  # fmt: skip
    if cpu:
        chosen["placement_group_config"] = {"bundles": [{"CPU": 1, "GPU": 0}]}
        chosen["runtime_env"] = {"env_vars": {name: os.environ[name] for name in wanted if name in os.environ}}
    config = vLLMEngineProcessorConfig(model_source=known.pop("model"), engine_kwargs=known, **chosen)
    processor = build_processor(
        config,
        preprocess=lambda row: {
            "messages": [{"role": "user", "content": row["prompt"]}],
            "sampling_params": {"max_tokens": sampling.max_tokens, "seed": row["seed"], "logprobs": 0},
        },
        postprocess=lambda row: {"num_tokens": row["num_generated_tokens"], "arrival": row["metrics"]["arrival_time"]},
    )
    rows = [
        {"prompt": problem.prompt, "seed": 1000 * i + j}
        for i, problem in enumerate(problems(arguments))
        for j in range(sampling.num_rollouts)
    ]
    given = ray.data.from_items(rows, override_num_blocks=max(1, len(rows) // 16) if tuned else None)
    answered = list(processor(given).iter_rows())
    ended = time.time()
    if len(answered) != len(rows):
        raise RuntimeError(f"{len(answered)} rows")
    return sum(row["num_tokens"] for row in answered), ended - min(row["arrival"] for row in answered)


def measured(way: str, command: list[str]) -> dict[str, Any]:
    """One way in a process of its own; its last line is its result."""
    done = subprocess.run([*command, "--way", way], stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(result), flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--model", default="")
    parser.add_argument("--problems", type=int, default=96)
    parser.add_argument("--rollouts", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--max-num-seqs", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=1, help="of all ways in turn; the best of each counts")
    parser.add_argument("--way", choices=WAYS)
    arguments = parser.parse_args()
    if arguments.way:
        tokens, seconds = {"plain": plain, "ours": ours}.get(arguments.way, ray_llm)(arguments)
        result = {
            "way": arguments.way,
            "tokens": tokens,
            "seconds": round(seconds, 2),
            "tokens_per_s": round(tokens / seconds),
        }
        print(json.dumps(result), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.model:
            make_model(Path(folder))
        given = [
            f"--{name.replace('_', '-')}={value}" for name, value in vars(arguments).items() if name not in {"way", "model"}
        ]
        command = [sys.executable, "-m", "jobs.bench.generate", *given, f"--model={arguments.model or folder}"]
        best = dict.fromkeys(WAYS, 0.0)
        for _ in range(arguments.repeats):
            for way in WAYS:
                best[way] = max(best[way], measured(way, command)["tokens_per_s"])
    print(json.dumps({
        "tokens_per_s": best,
        "ratio_plain": round(best["ours"] / best["plain"], 3),
        "ratio_ray_llm": round(best["ours"] / best["ray_llm"], 3),
        "ratio_ray_llm_tuned": round(best["ours"] / best["ray_llm_tuned"], 3),
        "device": arguments.device, "problems": arguments.problems, "rollouts": arguments.rollouts,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
