"""vLLM's engine as ray.serve.llm runs it, with the model in the engine's own process: on a CPU, where one process is all.

ray.serve.llm has the model in a process of its own there (vLLM's "mp" executor), and the engine spins while it waits for
it: half a core of a small machine, for nothing. `vllm serve` does without (its "uni" executor).
"""

from typing import Any

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine


class OneProcessEngine(VLLMEngine):
    """Chosen by its name in `RAYLLM_VLLM_ENGINE_CLS`."""

    def _start_async_llm_engine(self, vllm_engine_args: Any, vllm_engine_config: Any, placement_group: Any) -> Any:
        vllm_engine_config.parallel_config.distributed_executor_backend = "uni"
        return super()._start_async_llm_engine(vllm_engine_args, vllm_engine_config, placement_group)
