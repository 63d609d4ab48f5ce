"""A model's weight files in the safetensors format, one tensor at a time.

files = WeightFiles(path)
"lm_head.weight" in files
files["lm_head.weight"]       # read now, and nothing else
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


class WeightFiles:
    """The tensors of a folder, or of a model of the hub that is stored here already. Empty where there are none."""

    def __init__(self, path: str) -> None:
        from transformers.utils import cached_file

        self._file_by_name: dict[str, str] = {}
        index = cached_file(path, INDEX, _raise_exceptions_for_missing_entries=False)
        if index is not None:
            for name, file in json.loads(Path(index).read_text())["weight_map"].items():
                self._file_by_name[name] = str(Path(index).parent / file)
            return
        single = cached_file(path, SINGLE, _raise_exceptions_for_missing_entries=False)
        if single is not None:
            with safe_open(single, framework="pt") as file:
                self._file_by_name = dict.fromkeys(file.keys(), single)

    def __contains__(self, name: str) -> bool:
        return name in self._file_by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._file_by_name)

    def shape(self, name: str) -> tuple[int, ...]:
        """From the file's header alone. Raises SafetensorError for a file that is cut off."""
        with safe_open(self._file_by_name[name], framework="pt") as file:
            return tuple(file.get_slice(name).get_shape())

    def __getitem__(self, name: str) -> torch.Tensor:
        with safe_open(self._file_by_name[name], framework="pt") as file:
            return file.get_tensor(name)
