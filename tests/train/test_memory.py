"""The formula against what a training really holds, and by hand."""

import threading

import psutil
import pytest
import torch
from gang import gang
from transformers import AutoConfig, Qwen3Config, Qwen3ForCausalLM

from ded_ray.recipe import DeepSpeed, Fsdp2, Lora, Train
from ded_ray.runtime.memory import freed_at_once
from ded_ray.train.batches import packed
from ded_ray.train.memory import memory_of
from ded_ray.train.sequences import Sequence
from ded_ray.train.strategy import make_strategy

SHAPE = {
    "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 60_000, "tie_word_embeddings": True,
}  # fmt: skip


def test_by_hand():
    config = Qwen3Config(**SHAPE)
    with torch.device("meta"):
        total = sum(parameter.numel() for parameter in Qwen3ForCausalLM(config).parameters())
    plain = memory_of(config, Train(workers=4))
    assert (plain.parameters, plain.gradients, plain.optimizer) == (4 * total, 4 * total, 8 * total)
    sharded = memory_of(config, Train(workers=4, strategy=Fsdp2()))
    assert sharded.optimizer == 2 * total
    assert sharded.parameters > total
    assert memory_of(config, Train(workers=4, strategy=DeepSpeed(zero_stage=2))).gradients == total
    assert memory_of(config, Train(workers=4, strategy=DeepSpeed(zero_stage=3, offload_optimizer=True))).optimizer == 0
    assert memory_of(config, Train(lora=Lora())).optimizer < 0.1 * plain.optimizer
    assert memory_of(config, Train(activation_checkpointing=True)).activations < 0.4 * plain.activations


def held(rank: int, path: str, checkpointing: bool) -> float:
    """The most that one worker held beyond what it had before it built the model."""
    most, stop = [0], threading.Event()
    process = psutil.Process()

    def watch():
        while not stop.wait(0.002):
            most[0] = max(most[0], process.memory_info().rss)

    train = Train(workers=1, packing=True, max_length=4096, activation_checkpointing=checkpointing)
    AutoConfig.from_pretrained(path)
    ids = torch.randint(0, 60_000, (16, 256)).tolist()
    batch = packed([Sequence(row[:1], row[1:], 1.0) for row in ids])
    before = process.memory_info().rss
    with freed_at_once():
        strategy = make_strategy(path, train, rank=rank, device=torch.device("cpu"))
        strategy.backward(strategy.loss(batch, last=True)[0] / 4000)
        strategy.step(1e-4)  # from now on the optimiser has its state
        thread = threading.Thread(target=watch)
        thread.start()
        strategy.backward(strategy.loss(batch, last=True)[0] / 4000)
        strategy.step(1e-4)
        stop.set()
        thread.join()
    return float(most[0] - before)


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_it_is_what_a_worker_holds(tmp_path, checkpointing):
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SHAPE)).save_pretrained(tmp_path)
    train = Train(workers=1, max_length=4096, activation_checkpointing=checkpointing)
    wanted = memory_of(AutoConfig.from_pretrained(tmp_path), train).total
    [measured] = gang(held, str(tmp_path), checkpointing, num_workers=1)
    assert measured == pytest.approx(wanted, rel=0.15)
