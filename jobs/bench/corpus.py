"""A corpus of a million sequences as a training worker takes it: `python -m jobs.bench.corpus`.

Random tokens in files as `tokenize` leaves them; then, in a process of its own, what a worker does with data before its
first step and in its steps: open the files, hold questions out, draw the batch, pack it, make tensors, note the rollouts.
No model, so that all of the memory is the data's.

- seconds_to_first_batch: from an open interpreter to the tensors of the first step
- private_mb: memory that the process has for itself, above what it had with all modules imported
- mapped_mb: pages of the files that it has looked at; all workers of a machine share them, and they can be dropped
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SEQUENCES_A_FILE, ANSWERS_A_QUESTION, STEPS = 16_384, 4, 200


def write_corpus(folder: Path, num_sequences: int, num_tokens: int) -> None:
    """Sequences of half to one and a half times so many tokens, a quarter of them prompt; four answers to a question."""
    import numpy as np
    import pyarrow as pa

    from ded_ray.train.tokens import SCHEMA

    draw = np.random.default_rng(0)
    for start in range(0, num_sequences, SEQUENCES_A_FILE):
        numbers = np.arange(start, min(start + SEQUENCES_A_FILE, num_sequences))
        questions = (numbers // ANSWERS_A_QUESTION).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # in no order
        groups = pa.array([f"{number:016x}" for number in questions.tolist()])
        lengths = draw.integers(num_tokens // 2, num_tokens * 3 // 2, len(numbers))
        columns = [groups, groups, pa.array(numbers % ANSWERS_A_QUESTION, pa.int32()), pa.array(draw.random(len(numbers)))]
        for counts in (lengths // 4, lengths - lengths // 4):
            offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
            columns.append(pa.ListArray.from_arrays(offsets, pa.array(draw.integers(0, 400, counts.sum()), pa.int32())))
        with pa.ipc.new_file(str(folder / f"tokens-{start:09}.arrow"), SCHEMA) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))


def memory_mb() -> dict[str, float]:
    """Private and mapped memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith("Rss")}
    return {"private": sizes["RssAnon"] + sizes["RssShmem"], "mapped": sizes["RssFile"]}


def as_worker(folder: Path, *, held_out: bool) -> dict[str, Any]:
    """The first of two workers, and its first steps."""
    import torch

    from ded_ray.recipe import HeldOut, Train
    from ded_ray.train.batches import batch_at, make_batch, rows_of_worker
    from ded_ray.train.held_out import split
    from ded_ray.train.history import History
    from ded_ray.train.step import Step
    from ded_ray.train.tokens import Tokens

    train = Train(packing=True, max_length=2048, held_out=HeldOut() if held_out else None)
    with tempfile.TemporaryDirectory() as out:
        history = History(Path(out), [], here=Path(out))
        before, started, times = memory_mb(), time.perf_counter(), {}
        tokens = Tokens(folder)
        times["open"] = time.perf_counter() - started
        trained, left_out = split(tokens, train.held_out)
        times["split"] = time.perf_counter() - started
        for step in range(STEPS):
            indices = [trained[i] for i in batch_at(step, len(trained), train.batch_size, 0)]
            lengths = {i: int(tokens.lengths[i]) for i in indices}
            batches = [
                make_batch([tokens[i] for i in row], train, 0)
                for row in rows_of_worker(indices, lengths, train, rank=0, num_workers=2)
            ]
            num_tokens = sum(batch.input_ids.numel() for batch in batches)
            done = Step(1.0, 1.0, [1.0] * len(indices), 1.0, num_tokens, 0.0, 1.0)
            history.add(step, done, rate=0.0, indices=indices, tokens=tokens, seconds=1.0, mfu=None)
            times.setdefault("first_batch", time.perf_counter() - started)
        total, after = time.perf_counter() - started, memory_mb()
    return {
        "sequences": len(tokens), "held_out": len(left_out),
        **{f"seconds_to_{name}": round(seconds, 2) for name, seconds in times.items()},
        "ms_a_step": round((total - times["first_batch"]) / (STEPS - 1) * 1000, 1),
        "private_mb": round(after["private"] - before["private"]), "mapped_mb": round(after["mapped"] - before["mapped"]),
        "threads": torch.get_num_threads(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=300, help="of a sequence, on average")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--held-out", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        print(json.dumps(as_worker(arguments.folder, held_out=arguments.held_out)))
        return
    with tempfile.TemporaryDirectory() as name:
        write_corpus(Path(name), arguments.sequences, arguments.tokens)
        found = {}
        for case, more in (("all", []), ("held_out", ["--held-out"])):
            command = [sys.executable, "-m", "jobs.bench.corpus", "--folder", name, *more]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[case] = json.loads(done.stdout.splitlines()[-1])
        size = sum(file.stat().st_size for file in Path(name).iterdir())
    print(json.dumps({"corpus_mb": round(size / 1e6), **found}))


if __name__ == "__main__":
    main()
