"""Every strategy on two gloo workers is one process's training: the same losses, the same weights, less memory."""

import asyncio
import contextlib
import importlib
import threading
from pathlib import Path

import psutil
import pytest
import torch
from gang import gang
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from ded_ray.generate.engines.continuous import steps as completing
from ded_ray.generate.engines.transformers import TransformersModel
from ded_ray.models.chat import ChatTokenizer
from ded_ray.models.sampling import Row
from ded_ray.recipe import Ddp, DeepSpeed, Fsdp2, Lora, Student, Train
from ded_ray.records import Group, Rollout
from ded_ray.tiny.problems import make_problems
from ded_ray.train.answer import Asked, answer
from ded_ray.train.batches import batch_at
from ded_ray.train.check import check_student
from ded_ray.train.step import Place, run_step
from ded_ray.train.strategy import make_strategy
from ded_ray.train.tokens import Tokens, write_tokens
from jobs.reproduce.learn import fit

NUM_STEPS = 50
STRATEGIES = {
    "ddp": Ddp(), "fsdp2": Fsdp2(), **{f"zero-{stage}": DeepSpeed(zero_stage=stage) for stage in (1, 2, 3)},
}  # fmt: skip
# 11 examples in batches of 4 over 2 workers: uneven last batches, empty rows, several rows a step.
KNOBS = Train(batch_size=4, max_length=80, packing=True, learning_rate=1e-3)


def groups() -> list[Group]:
    problems = make_problems("chain", 11, (2, 6), 0)
    return [
        Group.of(
            problem, problem.problem_id, "t",
            [Rollout(index=0, completion=f"{'so ' * (i % 3)}\\boxed{{{problem.answer}}}", num_tokens=9,
                     finish_reason="stop", seed=0, weight=0.25 * (i + 1))],
        )
        for i, problem in enumerate(problems)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> str:
    """A Qwen3 with tied embeddings, as small students have them, and the tiny student's tokenizer."""
    folder = str(tmp_path_factory.mktemp("models") / "student")
    chat = ChatTokenizer("tiny/student")
    torch.manual_seed(0)
    Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(chat.tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=3, head_dim=16,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, pad_token_id=0, eos_token_id=1,
        )
    ).save_pretrained(folder)  # fmt: skip
    chat.export(folder)
    return folder


@pytest.fixture(scope="module")
def tokens(student, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    write_tokens(groups(), Student(model=student), KNOBS.max_length, folder)
    return folder


def trained(
    rank: int, strategies: dict, student: str, tokens: Path, folder: Path, num_steps: int, knobs: Train = KNOBS
) -> dict[str, list[float]]:
    """The losses of each strategy, in one pair of processes; exports each."""
    read, curves = Tokens(tokens), {}
    for name, strategy in strategies.items():
        train = knobs.model_copy(update={"strategy": strategy})
        place = Place(train, rank, 2, torch.device("cpu"), pad_id=0)
        made = make_strategy(student, train, rank=rank, device=place.device)
        check_student(made, read, place)
        steps = [batch_at(step, len(read), place.train.batch_size, 0) for step in range(num_steps)]
        curves[name] = [run_step(made, read, indices, place, rate=1e-3).loss for indices in steps]
        made.export(folder / name)
    return curves


@pytest.fixture(scope="module")
def curves(student, tokens, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    return folder, gang(trained, STRATEGIES, student, tokens, folder, NUM_STEPS)[0]


@pytest.fixture(scope="module")
def plain(student, tokens):
    """One process, padded rows, the model's own logits."""
    read = Tokens(tokens)
    constant = KNOBS.model_copy(update={"schedule": "constant", "warmup_fraction": 0.0})
    return fit(student, [read[i] for i in range(len(read))], constant, num_steps=NUM_STEPS, seed=0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_one_plain_loop(curves, plain, name):
    folder, by_strategy = curves
    model, losses = plain
    assert by_strategy[name] == pytest.approx(losses, rel=1e-4)
    exported = AutoModelForCausalLM.from_pretrained(folder / name).state_dict()
    wanted = model.state_dict()
    assert exported.keys() == wanted.keys()
    assert all(torch.allclose(exported[key], wanted[key], atol=2e-3) for key in wanted)


def answered(rank: int, student: str, tokens: Path) -> dict[str, list]:
    """[the losses of four steps, this worker's answers before them] of each strategy, which answers between them too. Three
    questions on two workers: one of them has a question less."""
    read, found = Tokens(tokens), {}
    for name, strategy in STRATEGIES.items():
        train = KNOBS.model_copy(update={"strategy": strategy, "activation_checkpointing": True})
        place = Place(train, rank, 2, torch.device("cpu"), pad_id=0)
        made = make_strategy(student, train, rank=rank, device=place.device)

        def ask(made=made, place=place) -> list[list[int]]:
            rows = [[Row(10 * i + k, 5 + 4 * i, frozenset({1})) for k in range(2)] for i in range(3)]
            asked = [Asked(read[i].prompt_ids, rows[i]) for i in range(3)][rank::2]
            spare = [Asked(read[0].prompt_ids, [])] * (2 - len(asked))
            answer(made, [*asked, *spare], place, at_once=2)
            return [row.tokens for each in asked for row in each.rows]

        first = ask()
        losses = steps(made, read, place, range(2))
        ask()
        found[name] = [losses + steps(made, read, place, range(2, 4)), first]
    return found


@pytest.mark.slow
def test_a_student_answers_while_it_is_trained_under_every_strategy_as_it_is_served(student, tokens, plain):
    workers, read = gang(answered, student, tokens), Tokens(tokens)
    engine = TransformersModel(student)

    async def served(i: int) -> list[list[int]]:
        rows = [Row(10 * i + k, 5 + 4 * i, frozenset({1})) for k in range(2)]
        async for _ in completing([engine.batch.submit(read[i].prompt_ids, rows)]):
            pass
        return [row.tokens for row in rows]

    wanted = [asyncio.run(served(i)) for i in range(3)]
    for name in STRATEGIES:
        assert [found[name][1] for found in workers] == [wanted[0] + wanted[2], wanted[1]], name
        assert workers[0][name][0] == pytest.approx(plain[1][:4], rel=1e-4), name


COMPILED = {"ddp": Ddp(), "fsdp2": Fsdp2()}


@pytest.mark.slow
def test_compiled_layers_learn_the_same(student, tokens, plain, tmp_path):
    knobs = KNOBS.model_copy(update={"compile": True, "activation_checkpointing": True})
    by_strategy = gang(trained, COMPILED, student, tokens, tmp_path, 4, knobs)[0]
    assert by_strategy == {name: pytest.approx(plain[1][:4], rel=1e-4) for name in COMPILED}


SHARDED = {"ddp": STRATEGIES["ddp"], "fsdp2": Fsdp2(), "zero-3": DeepSpeed(zero_stage=3)}


def steps(made, read, place, some) -> list[float]:
    indices = [batch_at(step, len(read), place.train.batch_size, 0) for step in some]
    return [run_step(made, read, batch, place, rate=1e-3).loss for batch in indices]


def with_adapter(rank: int, student: str, tokens: Path, folder: Path) -> dict[str, list[float]]:
    """Losses of each strategy; the exported model is merged for DDP, the adapter's own folder beside it for all."""
    read, curves = Tokens(tokens), {}
    for name, strategy in SHARDED.items():
        train = KNOBS.model_copy(update={"strategy": strategy, "lora": Lora(rank=4)})
        torch.manual_seed(0)
        place = Place(train, rank, 2, torch.device("cpu"), pad_id=0)
        made = make_strategy(student, train, rank=rank, device=place.device)
        curves[name] = steps(made, read, place, range(6))
        (folder / name).mkdir(exist_ok=True)
        made.save(folder / name, step=6)
        torch.distributed.barrier()
        made.export(folder / f"{name}-model")
        again = make_strategy(student, train, rank=rank, device=place.device)
        assert again.load(folder / name) == 6
        curves[f"{name} again"] = steps(again, read, place, range(6, 9))
        curves[name] += steps(made, read, place, range(6, 9))
    return curves


@pytest.mark.slow
def test_an_adapter_learns_the_same_under_every_strategy_and_comes_back_whole(student, tokens, tmp_path):
    curves = gang(with_adapter, student, tokens, tmp_path)[0]
    for name in SHARDED:
        assert curves[name] == pytest.approx(curves["ddp"], rel=1e-4), name
        assert curves[f"{name} again"] == pytest.approx(curves["ddp"][6:], rel=1e-4), name
    assert curves["ddp"][-1] < curves["ddp"][0]
    merged = {name: AutoModelForCausalLM.from_pretrained(tmp_path / f"{name}-model").state_dict() for name in SHARDED}
    base = AutoModelForCausalLM.from_pretrained(student).state_dict()
    changed = [key for key in base if not torch.equal(base[key], merged["ddp"][key])]
    assert changed
    assert all("proj" in key for key in changed)
    for name in SHARDED:
        assert all(torch.allclose(merged[name][key], merged["ddp"][key], atol=1e-4) for key in base), name


def dtypes_of(rank: int, student: str, tokens: Path) -> dict[str, list[str]]:
    """What the matrices are multiplied in, and what the optimiser keeps, by strategy."""
    read, found = Tokens(tokens), {}
    for name, strategy in SHARDED.items():
        train = KNOBS.model_copy(update={"strategy": strategy, "precision": "bf16"})
        place = Place(train, rank, 2, torch.device("cpu"), pad_id=0)
        made = make_strategy(student, train, rank=rank, device=place.device)
        seen = set()
        made.model.model.layers[0].mlp.up_proj.register_forward_hook(lambda *call, seen=seen: seen.add(str(call[2].dtype)))
        losses = steps(made, read, place, range(4))
        optimizer = getattr(made, "_optimizer", None) or made._engine.optimizer.optimizer
        kept = {str(state["exp_avg"].dtype) for state in optimizer.state.values() if "exp_avg" in state}
        found[name] = [sorted(seen), sorted(kept), losses]
    return found


def test_matrices_are_multiplied_in_bf16_and_the_optimiser_keeps_float32(student, tokens):
    found = gang(dtypes_of, student, tokens)[0]
    for name, (multiplied, kept, losses) in found.items():
        assert multiplied == ["torch.bfloat16"], name
        assert kept == ["torch.float32"], name
        assert losses == pytest.approx(found["ddp"][2], rel=2e-2), name


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> str:
    """Large enough to tell: 160 million parameters, 640 MB in float32."""
    folder = str(tmp_path_factory.mktemp("models") / "large")
    chat = ChatTokenizer("tiny/student")
    with torch.device("meta"):
        model = Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=len(chat.tokenizer), hidden_size=1024, intermediate_size=4096, num_hidden_layers=10, head_dim=64,
                num_attention_heads=16, num_key_value_heads=8, pad_token_id=0, eos_token_id=1, tie_word_embeddings=True,
            )
        )  # fmt: skip
    model.to_empty(device="cpu")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    model.save_pretrained(folder)
    chat.export(folder)
    return folder


class Loaded(Exception):
    pass


def memory_while_loading(rank: int, path: str, strategy) -> list[float]:
    """(bytes of the whole model in float32, most that this worker had more than before, files mapped by the kernel left
    out)."""
    most, stop = [0], threading.Event()
    process = psutil.Process()

    def own() -> int:
        info = process.memory_info()
        return info.rss - info.shared

    def watch():
        while not stop.wait(0.002):
            most[0] = max(most[0], own())

    loaded = []

    def prepare(*_) -> None:  # what comes next, and the optimiser after it
        loaded.append(most[0])
        stop.set()
        raise Loaded

    module = importlib.import_module(f"ded_ray.train.strategies.{strategy.kind}")
    module.prepare = prepare
    if strategy.kind == "deepspeed":
        import deepspeed  # noqa: F401 - not what is measured
    before = own()
    thread = threading.Thread(target=watch)
    thread.start()
    with contextlib.suppress(Loaded):
        make_strategy(path, KNOBS.model_copy(update={"strategy": strategy}), rank=rank, device=torch.device("cpu"))
    thread.join()
    return [Path(path, "model.safetensors").stat().st_size, loaded[0] - before]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [Fsdp2(), DeepSpeed(zero_stage=3)], ids=["fsdp2", "zero-3"])
def test_no_worker_ever_holds_more_than_its_share(large, strategy):
    for whole, held in gang(memory_while_loading, large, strategy):
        assert held <= 0.6 * whole, f"{held / whole:.2f}"


def saved(rank: int, strategies: dict, student: str, tokens: Path, folder: Path) -> None:
    read = Tokens(tokens)
    for name, strategy in strategies.items():
        train = KNOBS.model_copy(update={"strategy": strategy})
        place = Place(train, rank, 2, torch.device("cpu"), pad_id=0)
        made = make_strategy(student, train, rank=rank, device=place.device)
        steps(made, read, place, range(6))
        (folder / name).mkdir(exist_ok=True)
        made.save(folder / name, step=6)


def gone_on(
    rank: int, strategies: dict, student: str, tokens: Path, folder: Path, num_workers: int
) -> dict[str, list[float]]:
    read, curves = Tokens(tokens), {}
    for name, strategy in strategies.items():
        train = KNOBS.model_copy(update={"strategy": strategy})
        place = Place(train, rank, num_workers, torch.device("cpu"), pad_id=0)
        made = make_strategy(student, train, rank=rank, device=place.device)
        assert made.load(folder / name) == 6
        curves[name] = steps(made, read, place, range(6, 10))
    return curves


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [1, 3])
def test_another_number_of_workers_goes_on_with_the_same_curve(student, tokens, curves, tmp_path, num_workers):
    strategies = {name: STRATEGIES[name] for name in ("ddp", "fsdp2", "zero-2", "zero-3")}
    gang(saved, strategies, student, tokens, tmp_path)
    found = gang(gone_on, strategies, student, tokens, tmp_path, num_workers, num_workers=num_workers)[0]
    for name in strategies:
        assert found[name] == pytest.approx(curves[1][name][6:10], rel=1e-4), name
