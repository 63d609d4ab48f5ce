"""What is trained on, in tokens: written once, read from disk by every worker, never held in memory.

    write_tokens(groups, student, max_length, folder)     # one file of each batch of curated groups
    tokens = Tokens(folder)
    tokens[7]                                             # a Sequence
    tokens.name(7)                                        # "0b6f3a5c1d2e4f70/3", as `ded-ray explain` takes it

Arrow files are mapped into memory for all that is short; tokens are read from them, those of the step alone.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ded_ray.files.folders import on_this_machine, write_whole
from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Generator
from ded_ray.records import Group, Record, examples_of, stable_hash
from ded_ray.train.sequences import Sequence, to_sequence

SCHEMA = pa.schema(
    [
        ("problem_id", pa.string()),
        ("group_id", pa.string()),
        ("index", pa.int32()),
        ("weight", pa.float64()),
        ("prompt_ids", pa.list_(pa.int32())),
        ("completion_ids", pa.list_(pa.int32())),
    ]
)
KEYS = ["problem_id", "group_id", "index"]


@dataclass(slots=True, kw_only=True)
class TokenFile(Record):
    """What became of one batch of curated groups."""

    file: str
    num_kept: int
    num_too_long: int


def write_tokens(groups: list[Group], student: Generator, max_length: int, folder: Path) -> list[TokenFile]:
    """Write the kept rollouts of curated groups as sequences, those up to `max_length` tokens."""
    chat = ChatTokenizer(student.model, student.chat)
    rows, num_too_long = [], 0
    for example in (example for group in groups for example in examples_of(group)):
        sequence = to_sequence(example, chat)
        if sequence.length > max_length:
            num_too_long += 1
            continue
        rows.append(
            {"problem_id": example.problem_id, "group_id": example.group_id, "index": example.index,
             "weight": sequence.weight, "prompt_ids": sequence.prompt_ids, "completion_ids": sequence.completion_ids}
        )  # fmt: skip
    name = f"tokens-{stable_hash(*[group.group_id for group in groups])}.arrow"
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_file(buffer, SCHEMA) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
    write_whole(memoryview(buffer.getvalue()), folder / name)
    return [TokenFile(file=name, num_kept=len(rows), num_too_long=num_too_long)]


class _Ids:
    """The token ids of a column. Read and not looked at in the map, where a look brings in some 64 KB around it: after a
    few thousand steps that would be the whole corpus."""

    def __init__(self, column: pa.ListArray, file: pa.MemoryMappedFile) -> None:
        self._offsets, self._file = column.offsets.to_numpy(), file
        file.seek(0)
        self._start = column.values.buffers()[1].address - file.read_buffer(1).address

    def __getitem__(self, row: int) -> list[int]:
        first, end = (int(offset) for offset in self._offsets[row : row + 2])
        data = os.pread(self._file.fileno(), 4 * (end - first), self._start + 4 * first)
        return np.frombuffer(data, np.int32).tolist()


class Tokens:
    """All sequences of a folder, in an order that depends on nothing but their ids."""

    def __init__(self, folder: Path) -> None:
        files = [pa.memory_map(str(file)) for file in sorted(on_this_machine(folder).glob("tokens-*.arrow"))]
        self._batches = [pa.ipc.open_file(file).get_batch(0) for file in files]
        self._prompt_ids, self._completion_ids = (
            [_Ids(batch[name], file) for batch, file in zip(self._batches, files, strict=True)]
            for name in ("prompt_ids", "completion_ids")
        )
        keys = pa.Table.from_batches([batch.select(KEYS) for batch in self._batches])
        indices = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in KEYS]).to_numpy()
        self._firsts = np.cumsum([0] + [len(batch) for batch in self._batches])
        self._file = (np.searchsorted(self._firsts, indices, side="right") - 1).astype(np.int32)
        self._row = (indices - self._firsts[self._file]).astype(np.int32)
        prompts, completions = self._counts("prompt_ids")[indices], self._counts("completion_ids")[indices]
        self.num_trained: np.ndarray = completions  # tokens of each sequence that are trained on
        self.lengths: np.ndarray = prompts + completions
        self.weights: np.ndarray = np.concatenate([batch["weight"].to_numpy() for batch in self._batches])[indices]

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, i: int) -> Sequence:
        file, row = self._file[i], int(self._row[i])
        return Sequence(self._prompt_ids[file][row], self._completion_ids[file][row], float(self.weights[i]))

    def name(self, i: int) -> str:
        """GROUP_ID/INDEX of the rollout."""
        batch, row = self._batches[self._file[i]], int(self._row[i])
        return f"{batch['group_id'][row]}/{batch['index'][row]}"

    def problem_id(self, i: int) -> str:
        return str(self._batches[self._file[i]]["problem_id"][int(self._row[i])])

    def questions(self) -> tuple[list[str], np.ndarray]:
        """(ids of all problems, the place of each sequence's problem among them)."""
        column = pa.chunked_array([batch["problem_id"] for batch in self._batches]).combine_chunks().dictionary_encode()
        return column.dictionary.to_pylist(), column.indices.to_numpy()[self._firsts[self._file] + self._row]

    def _counts(self, column: str) -> np.ndarray:
        return np.concatenate([np.diff(batch[column].offsets.to_numpy()) for batch in self._batches]).astype(np.int32)
