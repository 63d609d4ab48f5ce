"""What vLLM is told, without vLLM."""

import pytest

from ded_ray.generate import preflight
from ded_ray.generate.engines import vllm
from ded_ray.recipe import Teacher, VllmEngine
from ded_ray.records import Problem

X86 = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu sse avx2 avx512f {}\nbugs\t\t: bf16\n\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd {} sve\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("cpuinfo", "has_it"),
    [(X86.format(""), False), (X86.format("avx512_bf16"), True), (X86.format("amx_bf16 amx_tile"), True),
     (ARM.format(""), False), (ARM.format("bf16"), True), (X86.format("avx512_vnni"), False), ("", False),
     ("model name : bf16 avx512_bf16\n", False)],
)  # fmt: skip
def test_which_cpus_compute_in_bfloat16(cpuinfo, has_it):
    assert vllm.computes_bf16(cpuinfo) == has_it


@pytest.mark.parametrize(
    ("config", "features", "dtype"),
    [({"device": "cpu"}, "", "float32"), ({"device": "cpu"}, "avx512_bf16", "auto"), ({"device": "gpu"}, "", "auto"),
     ({"device": "cpu", "dtype": "bfloat16"}, "", "bfloat16"), ({"device": "cpu", "quantization": "awq"}, "", "auto")],
)  # fmt: skip
def test_what_a_cpu_computes_in(config, features, dtype, tmp_path):
    (tmp_path / "cpuinfo").write_text(X86.format(features))
    assert vllm.dtype_of(VllmEngine(**config), tmp_path / "cpuinfo") == dtype


def test_a_machine_that_says_nothing_of_its_cpu_takes_the_dtype_of_the_checkpoint(tmp_path):
    assert vllm.dtype_of(VllmEngine(device="cpu"), tmp_path / "none") == "auto"


def test_that_float32_is_taken_is_said_beside_the_first_prompt(monkeypatch):
    problem = Problem(problem_id="p", prompt="Sort: 21", answer="12")
    teacher = Teacher(model="tiny/careful", engine=VllmEngine(device="cpu", max_model_len=2048))
    previews = {}
    for has_it in (False, True):
        monkeypatch.setattr(vllm, "computes_bf16", lambda _, has_it=has_it: has_it)
        previews[has_it] = preflight.check_answers([problem], teacher, "teacher").split("\n")
        assert vllm.engine_arguments("tiny/careful", teacher.engine)["dtype"] == ("auto" if has_it else "float32")
    assert previews[False][1] == (
        "teacher: vLLM computes in float32, because this CPU has no bfloat16; teacher.engine.dtype says otherwise"
    )
    assert len(previews[True]) == 1
