"""The formula against torch's own count: a step on fake tensors, which have sizes and no memory, every storage counted."""

import weakref
from collections import Counter

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig, AutoModelForCausalLM

from ded_ray.recipe import Train
from ded_ray.train.build import prepare
from ded_ray.train.memory import memory_of
from ded_ray.train.optimizer import make_optimizer
from ded_ray.train.student import Targets

TOKENS = 4096
NO_MASK = {"full_attention": None}
"""As flash attention has it: on fake tensors transformers would build one of T x T."""
SHAPES = {
    "tall": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 60_000, "tie_word_embeddings": True},
    "wide": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 3, "num_attention_heads": 16,
             "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 30_000, "tie_word_embeddings": False},
}  # fmt: skip


class LiveStorages(TorchDispatchMode):
    """Bytes of all storages that are alive, and the most that there were."""

    def __init__(self) -> None:
        super().__init__()
        self.alive, self.peak, self._seen = 0, 0, Counter[int]()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta":
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage) -> None:
        key = storage._cdata
        if self._seen[key]:
            return
        self._seen[key] = size = storage.nbytes()
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.alive -= self._seen.pop(key)


def estimated(config, train: Train) -> int:
    """Bytes at the peak of a second step, when the optimiser has its state."""
    with LiveStorages() as live, FakeTensorMode():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
        head, base = model.get_output_embeddings(), model.base_model
        prepare(model, train)
        optimizer = make_optimizer(model, train)
        ids = torch.zeros(1, TOKENS, dtype=torch.long)
        for _ in range(2):
            # As in the model's own forward pass; which positions are trained on depends on data, which fake tensors lack.
            hidden = base(ids, attention_mask=NO_MASK, use_cache=False)[0].flatten(0, 1)
            loss, _ = head(hidden, Targets(ids[0], torch.ones(TOKENS)))
            loss.backward(torch.tensor(1.0))
            del loss, hidden
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    return live.peak


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_what_torch_counts(shape, checkpointing):
    config = AutoConfig.for_model("qwen3", **SHAPES[shape])
    train = Train(workers=1, max_length=TOKENS, activation_checkpointing=checkpointing)
    assert estimated(config, train) == pytest.approx(memory_of(config, train).total, rel=0.15)
