"""What one step of training holds, by the formula and by torch's own count: `python -m jobs.bench.memory [RECIPE]`.

The count runs a real step on fake tensors, which have sizes and no memory, and adds up every storage that is alive. It is of
one worker; what a strategy divides is divided by the formula alone. Without a model hub the shape of the student is one of
`SHAPES`; by default the recipe is DED's own (32B parameters on eight GPUs).
"""

import argparse
import json
import time
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig, AutoModelForCausalLM

from ded_ray.recipe import Ddp, Train
from ded_ray.recipe.load import load_recipe
from ded_ray.train.build import prepare
from ded_ray.train.memory import memory_of
from ded_ray.train.optimizer import make_optimizer
from ded_ray.train.student import Targets

SHAPES: dict[str, dict[str, Any]] = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": {
        "model_type": "qwen2", "hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 64,
        "num_attention_heads": 40, "num_key_value_heads": 8, "vocab_size": 152064, "tie_word_embeddings": False,
        "max_position_embeddings": 131072,
    },
    "Qwen/Qwen3-0.6B": {
        "model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "head_dim": 128,
        "num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 151936, "tie_word_embeddings": True,
        "max_position_embeddings": 40960,
    },
}  # fmt: skip
"""As these models' config.json have it."""

NO_MASK = {"full_attention": None}
"""As flash attention has it: on fake tensors transformers would build one of T x T."""


class LiveStorages(TorchDispatchMode):
    """Bytes of all storages that are alive, and the most that there were."""

    def __init__(self) -> None:
        super().__init__()
        self.alive, self.peak, self._seen = 0, 0, Counter[int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta":
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: Any) -> None:
        key = storage._cdata
        if self._seen[key]:
            return
        self._seen[key] = size = storage.nbytes()
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.alive -= self._seen.pop(key)


def counted(config: Any, train: Train, num_tokens: int) -> int:
    """Bytes at the peak of a second step, when the optimiser has its state."""
    with LiveStorages() as live, FakeTensorMode():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
        head, base = model.get_output_embeddings(), model.base_model
        prepare(model, train)
        optimizer = make_optimizer(model, train)
        ids = torch.zeros(1, num_tokens, dtype=torch.long)
        for _ in range(2):
            # As in the model's own forward pass; which positions are trained on depends on data, which fake tensors lack.
            hidden = base(ids, attention_mask=NO_MASK, use_cache=False)[0].flatten(0, 1)
            loss, _ = head(hidden, Targets(ids[0], torch.ones(num_tokens)))
            loss.backward(torch.tensor(1.0))
            del loss, hidden
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    return live.peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, nargs="?", default=Path("jobs/recipes/ded_math_8gpu.yaml"))
    parser.add_argument("--student", default="", help=f"in the recipe's place, one of {', '.join(SHAPES)}")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    name = arguments.student or recipe.student.model
    config = AutoConfig.for_model(**SHAPES[name]) if name in SHAPES else AutoConfig.from_pretrained(name)
    started = time.monotonic()
    alone = recipe.train.model_copy(update={"workers": 1, "strategy": Ddp(), "precision": "float32", "use_gpu": False})
    count = counted(config, alone, alone.tokens_per_row)
    formula, per_gpu = memory_of(config, alone), memory_of(config, recipe.train)
    print(json.dumps({
        "student": name, "tokens": alone.tokens_per_row, "one_worker_counted_gib": round(count / 2**30, 1),
        "one_worker_formula_gib": round(formula.total / 2**30, 1), "ratio": round(formula.total / count, 3),
        "per_gpu_gib": {part: round(size / 2**30, 1) for part, size in vars(per_gpu).items()},
        "per_gpu_total_gib": round(per_gpu.total / 2**30, 1), "seconds": round(time.monotonic() - started, 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
