"""vLLM behind the seam: one asynchronous engine per actor. The only file that imports vLLM.

A group is one request with n = G, so that its rollouts share their prefill; its answer comes when all are done
(final-only output). vLLM gives child i of a request the seed `seed + i`, as every engine here does.
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NoReturn

from ded_ray.generate.engine import Answer, Refusal, Request, as_they_come
from ded_ray.models.chat import ChatTokenizer
from ded_ray.models.load import model_path
from ded_ray.recipe import Generator, VllmEngine
from ded_ray.records import Rollout

logger = logging.getLogger(__name__)

os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")

CPU_BATCHED_TOKENS = 8192
"""On the CPU a prompt is never computed in chunks: with seeds of their own that kills the engine (vLLM 0.29, "CPU
Generator does not use offset")."""


class VllmModel:
    """An engine. Leaves its process when vLLM's own processes have died or hang: Ray then starts another."""

    def __init__(self, generator: Generator) -> None:
        assert isinstance(generator.engine, VllmEngine)
        self._config = generator.engine
        if self._config.device == "cpu":
            prepare_cpu(max(1, int(self._config.num_cpus)))
        subprocess.Popen(
            [sys.executable, "-m", "ded_ray.generate.engines.reap_orphans", str(os.getpid())], start_new_session=True
        )
        from vllm import AsyncEngineArgs
        from vllm.lora.request import LoRARequest
        from vllm.v1.engine.async_llm import AsyncLLM

        self._chat = ChatTokenizer(generator.model, generator.chat)
        self._lora = LoRARequest("lora", 1, self._config.lora) if self._config.lora else None
        self._last_step = time.monotonic()
        self._guard: asyncio.Task[None] | None = None
        arguments = AsyncEngineArgs(**engine_arguments(generator.model, self._config))
        self._engine = AsyncLLM.from_engine_args(arguments, stat_loggers=self._stat_loggers())

    def _stat_loggers(self) -> list[Any]:
        """vLLM's metrics as Ray's, for Prometheus; and the time of every step, by which a hung engine is known."""
        from vllm.v1.metrics.ray_wrappers import RayPrometheusStatLogger

        return [step_logger(self._note_step), RayPrometheusStatLogger]

    def _note_step(self) -> None:
        self._last_step = time.monotonic()

    async def generate(self, requests: list[Request]) -> AsyncIterator[Answer]:
        if self._guard is None:
            self._guard = asyncio.create_task(self._leave_when_hung())
        async for answer in as_they_come(self._answer, requests):
            yield answer

    async def _answer(self, request: Request) -> list[Rollout] | Refusal:
        from vllm import SamplingParams
        from vllm.exceptions import VLLMClientError
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        prompt: Any = {"prompt_token_ids": self._chat.message_ids(request.messages)}
        config = request.sampling
        sampling = SamplingParams(
            n=config.num_rollouts,
            temperature=config.temperature,
            top_p=config.top_p,
            max_tokens=config.max_tokens,
            seed=request.seed,
            stop_token_ids=[self._chat.end_id],
            skip_special_tokens=not self._chat.thinks_in_special_tokens,
            logprobs=0,  # of the sampled token alone
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        if not self._engine.output_processor.has_unfinished_requests():
            self._last_step = time.monotonic()  # an idle engine has not been silent
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                async for output in self._engine.generate(prompt, sampling, uuid.uuid4().hex, lora_request=self._lora):
                    if odd := {completion.finish_reason for completion in output.outputs} - {"stop", "length"}:
                        return Refusal(f"vLLM ended a completion with {odd}")
                    return [self._rollout(request.seed, completion) for completion in output.outputs]
        except TimeoutError:
            return Refusal(f"not answered within {self._config.timeout_seconds:g} s")
        except EngineDeadError:
            self._leave("its engine is dead")
        except VLLMClientError as error:
            return Refusal(f"vLLM refuses it: {' '.join(str(error).split())[:300]}")
        return Refusal("vLLM gave no output")

    def _rollout(self, seed: int, completion: Any) -> Rollout:
        num_tokens = len(completion.token_ids)
        return Rollout(
            index=completion.index,
            completion=completion.text,
            num_tokens=num_tokens,
            finish_reason=completion.finish_reason,
            seed=seed + completion.index,
            mean_logprob=completion.cumulative_logprob / num_tokens if num_tokens else None,
        )

    async def _leave_when_hung(self) -> None:
        """vLLM itself never gives up a step that does not end."""
        while True:
            await asyncio.sleep(min(5, self._config.stall_seconds / 4))
            busy = self._engine.output_processor.has_unfinished_requests()
            if self._engine.errored:
                self._leave("its engine is dead")
            if busy and time.monotonic() - self._last_step > self._config.stall_seconds:
                self._leave(f"its engine has work and made no token for {self._config.stall_seconds:g} s")

    def _leave(self, why: str) -> NoReturn:
        logger.error("engine process %d ends: %s", os.getpid(), why)
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(1)


def step_logger(note_step: Callable[[], None]) -> type:
    """A stat logger for vLLM that calls `note_step` after every step of the engine."""
    from vllm.v1.metrics.loggers import StatLoggerBase

    class StepLogger(StatLoggerBase):
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def record(self, *_: Any, **__: Any) -> None:
            note_step()

        def log_engine_initialized(self) -> None: ...

    return StepLogger


def cpu_environment(num_threads: int) -> dict[str, str]:
    """What vLLM's CPU build needs to find in the environment, before torch is imported."""
    return {
        "OMP_NUM_THREADS": str(num_threads),
        # Bound threads would all be bound to the same cores where several engines share a machine.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        # Else the first request for log-probabilities compiles for most of a minute.
        "TORCHDYNAMO_DISABLE": "1",
    }


def prepare_cpu(num_threads: int) -> None:
    """Set what vLLM's CPU build needs, where it is not set yet; and have its scheduler and its computing in one process, as
    on a GPU: the scheduler's own would wait for the other at full speed, on a core that the machine may not have to
    spare. (vLLM then leaves executor "uni" as it is.)"""
    os.environ["OMP_NUM_THREADS"] = str(num_threads)
    for name, value in {**cpu_environment(num_threads), "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}.items():
        os.environ.setdefault(name, value)


def computes_bf16(cpuinfo: str) -> bool:
    """Whether a CPU with this /proc/cpuinfo multiplies in bfloat16; others emulate it, far slower than float32.

    The kernel's names: `avx512_bf16` and `amx_bf16` on x86, `bf16` on ARM.
    """
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    features = {name for key, _, names in lines if key.strip() in {"flags", "Features"} for name in names.split()}
    return not features.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def dtype_of(config: VllmEngine, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What the engine computes in on this machine: the recipe's dtype, and for `auto` float32 on a CPU without bfloat16."""
    if config.device != "cpu" or config.dtype != "auto" or config.quantization or not cpuinfo.exists():
        return config.dtype
    return "auto" if computes_bf16(cpuinfo.read_text()) else "float32"


def engine_arguments(model: str, config: VllmEngine) -> dict[str, Any]:
    """Arguments for vLLM's AsyncEngineArgs; the recipe's `engine_args` have the last word."""
    arguments: dict[str, Any] = {
        "model": model_path(model),
        "dtype": dtype_of(config),
        "quantization": config.quantization,
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "tensor_parallel_size": config.tensor_parallel,
        "pipeline_parallel_size": config.pipeline_parallel,
        "enforce_eager": config.enforce_eager,
        "enable_prefix_caching": True,
        "gpu_memory_utilization": config.gpu_memory_utilization,
        "disable_log_stats": False,
    }
    if config.kv_cache_gib or config.device == "cpu":
        arguments["kv_cache_memory_bytes"] = int((config.kv_cache_gib or 1) * 2**30)
    if config.device == "cpu":
        longest = max(CPU_BATCHED_TOKENS, config.max_model_len or 0)
        arguments |= {"enable_chunked_prefill": False, "max_num_batched_tokens": longest, "enforce_eager": True}
        if config.tensor_parallel * config.pipeline_parallel == 1:
            arguments["distributed_executor_backend"] = "uni"
    elif config.tensor_parallel * config.pipeline_parallel > 1:
        arguments["distributed_executor_backend"] = "ray"  # its workers take the bundles of the actor's placement group
    if config.lora:
        arguments["enable_lora"] = True
    return arguments | config.engine_args
