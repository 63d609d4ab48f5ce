"""Training speed and memory against TRL's `SFTTrainer`: `python -m jobs.bench.train`.

Same model, data, threads, tokens a step and optimiser; each side in a process of its own, one after the other, best of
`--repeats`. Without a GPU: a Qwen3-shaped model with a vocabulary of 151,936, float32, sequences of 128 to
1,024 tokens of which a third is prompt, packed into rows of 4,096, one row a forward pass and a step. TRL 1.16 runs with
packing ("bfd"), its default loss, on completions only, as its documentation has it. It is needed for this benchmark alone:
pip install trl==1.16.0.

- speed_ratio: tokens of whole sequences (prompts included, padding not) a second, ours over TRL's; the first step is not
  counted
- memory_ratio: peak resident memory of the process, ours over TRL's
- unpacked_ratio: our packed over our padded speed
- head_ratio: time of the fused head, forward and backward, over its three bare matrix products

With a GPU: `--device gpu` trains a Qwen3-0.6B-shaped model at 8k in bf16 and prints tokens a second, memory and MFU
(train/flops.py).
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

ROW, ROWS_A_STEP, STEPS = 4096, 1, 5
CPU_MODEL = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 64}  # fmt: skip
GPU_MODEL = {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
             "num_key_value_heads": 8, "head_dim": 128}  # fmt: skip
SIDES = ("ours", "unpacked", "trl", "head")


def make_model(folder: Path, shape: dict[str, int]) -> None:
    """Random weights, a vocabulary of 151,936, tied, as small Qwen3 models are."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(vocab_size=151_936, tie_word_embeddings=True, max_position_embeddings=32_768, **shape)
    Qwen3ForCausalLM(config).save_pretrained(folder)


def sequences(num_tokens: int, longest: int) -> list[tuple[list[int], list[int]]]:
    """(prompt, completion) pairs of random tokens, about so many tokens in all."""
    draw, made, total = random.Random(0), [], 0
    while total < num_tokens:
        length = draw.randint(longest // 8, longest)
        tokens = [draw.randrange(1000, 150_000) for _ in range(length)]
        made.append((tokens[: length // 3], tokens[length // 3 :]))
        total += length
    return made


def ours(arguments: argparse.Namespace, *, packing: bool) -> dict[str, float]:
    """The worker's own loop with one worker, without Ray around it."""
    from transformers import AutoConfig

    from ded_ray.recipe import Train
    from ded_ray.train.batches import make_batch, rows_of_worker
    from ded_ray.train.flops import Meter
    from ded_ray.train.sequences import Sequence
    from ded_ray.train.strategy import make_strategy

    gpu = arguments.device == "gpu"
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29531"}
    torch.distributed.init_process_group("nccl" if gpu else "gloo")
    data = [Sequence(*pair, 1.0) for pair in sequences(arguments.step_tokens * STEPS, arguments.longest)]
    train = Train(
        workers=1, use_gpu=gpu, packing=packing, max_length=arguments.row, micro_batch_size=ROWS_A_STEP, learning_rate=1e-4
    )
    device = torch.device("cuda" if gpu else "cpu")
    strategy = make_strategy(arguments.model, train, rank=0, device=device)
    per_step, seconds, tokens = len(data) // STEPS, 0.0, 0
    for step in range(STEPS):
        indices = list(range(step * per_step, (step + 1) * per_step))
        lengths = {i: data[i].length for i in indices}
        started = time.perf_counter()
        total = sum(len(data[i].completion_ids) for i in indices)
        rows = rows_of_worker(indices, lengths, train, rank=0, num_workers=1)
        for number, row in enumerate(rows, start=1):
            batch = make_batch([data[i] for i in row], train, 0).to(device)
            loss, _ = strategy.loss(batch, last=number == len(rows))
            strategy.backward(loss / total)
        strategy.step(1e-4)
        if step:
            seconds, tokens = seconds + time.perf_counter() - started, tokens + sum(lengths.values())
    found = {"tokens_per_second": tokens / seconds, "peak_mb": peak_mb()}
    if gpu:
        found["gpu_peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
        timed = [data[i].length for i in range(per_step, STEPS * per_step)]
        if meter := Meter.of(AutoConfig.from_pretrained(arguments.model), train, torch.cuda.get_device_name()):
            found["mfu"] = meter.mfu(timed, seconds=seconds, num_gpus=1)
    return found


def trl(arguments: argparse.Namespace) -> dict[str, float]:
    """TRL's trainer as its documentation has it, on the same pairs."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from ded_ray.models.load import model_path

    gpu = arguments.device == "gpu"
    pairs = sequences(arguments.step_tokens * STEPS, arguments.longest)
    rows = [
        {"input_ids": prompt + completion, "completion_mask": [0] * len(prompt) + [1] * len(completion)}
        for prompt, completion in pairs
    ]
    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

    tokenizer = PreTrainedTokenizerFast.from_pretrained(model_path("tiny/student"))
    config = SFTConfig(
        output_dir=arguments.out, packing=True, max_length=arguments.row, per_device_train_batch_size=1,
        gradient_accumulation_steps=arguments.step_tokens // arguments.row, num_train_epochs=1,
        learning_rate=1e-4, report_to="none", save_strategy="no", logging_strategy="no", use_cpu=not gpu, bf16=gpu,
        dataloader_num_workers=0, completion_only_loss=True, gradient_checkpointing=False,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    trainer = SFTTrainer(
        model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[Clock()]
    )
    packed = sum(len(row["input_ids"]) for row in trainer.train_dataset)
    trainer.train()
    steps = len(times)
    return {"tokens_per_second": packed * (steps - 1) / steps / (times[-1] - times[0]), "peak_mb": peak_mb(), "steps": steps}


def head() -> dict[str, float]:
    """The head alone: 512 positions of 1,024 numbers, a vocabulary of 151,936."""
    from ded_ray.train.head import weighted_head_loss

    torch.manual_seed(0)
    hidden, weight = torch.randn(512, 1024, requires_grad=True), torch.randn(151_936, 1024, requires_grad=True)
    labels, weights = torch.randint(0, 151_936, (512,)), torch.rand(512)
    logits = torch.empty(512, 151_936)
    fused, bare = [], []
    for _ in range(4):
        started = time.perf_counter()
        weighted_head_loss(hidden, weight, labels, weights)[0].backward()
        fused.append(time.perf_counter() - started)
        hidden.grad = weight.grad = None
        with torch.no_grad():
            started = time.perf_counter()
            torch.matmul(hidden, weight.t(), out=logits)
            logits @ weight
            logits.t() @ hidden
            bare.append(time.perf_counter() - started)
    return {"seconds": min(fused), "bare_seconds": min(bare)}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(side: str, arguments: argparse.Namespace) -> dict[str, float]:
    """One side in a process of its own."""
    command = [sys.executable, "-m", "jobs.bench.train", "--side", side, "--model", arguments.model, "--device",
               arguments.device, "--row", str(arguments.row), "--longest", str(arguments.longest),
               "--out", arguments.out]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--row", type=int, default=None)
    parser.add_argument("--longest", type=int, default=None)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    gpu = arguments.device == "gpu"
    arguments.row = arguments.row or (8192 if gpu else ROW)
    arguments.longest = arguments.longest or (arguments.row // 4)
    arguments.step_tokens = (2 if gpu else ROWS_A_STEP) * arguments.row
    torch.set_num_threads(2)
    if arguments.side:
        found = {"ours": lambda: ours(arguments, packing=True), "unpacked": lambda: ours(arguments, packing=False),
                 "trl": lambda: trl(arguments), "head": head}[arguments.side]()  # fmt: skip
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        arguments.model, arguments.out = str(Path(folder) / "model"), str(Path(folder) / "out")
        make_model(Path(arguments.model), GPU_MODEL if gpu else CPU_MODEL)
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(arguments.repeats):
            for side in SIDES:
                runs[side].append(measured(side, arguments))
                print(side, runs[side][-1], file=sys.stderr, flush=True)
    best = {
        side: max(found, key=lambda run: run.get("tokens_per_second", -run.get("seconds", 0)))
        for side, found in runs.items()
    }
    result = {
        "device": arguments.device, "row_tokens": arguments.row, **{side: best[side] for side in SIDES},
        "speed_ratio": best["ours"]["tokens_per_second"] / best["trl"]["tokens_per_second"],
        "memory_ratio": best["ours"]["peak_mb"] / best["trl"]["peak_mb"],
        "unpacked_ratio": best["ours"]["tokens_per_second"] / best["unpacked"]["tokens_per_second"],
        "head_ratio": min(run["seconds"] for run in runs["head"]) / min(run["bare_seconds"] for run in runs["head"]),
    }  # fmt: skip
    print(json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in result.items()}))


if __name__ == "__main__":
    main()
