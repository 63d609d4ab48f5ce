"""HumanEval: 164 Python functions to complete (Chen et al., 2107.03374; MIT).

https://huggingface.co/datasets/openai/openai_humaneval

    {"task_id": "HumanEval/0", "prompt": "def double(n: int) -> int:\\n", "entry_point": "double",
     "canonical_solution": "    return 2 * n\\n", "test": "def check(candidate):\\n    assert candidate(2) == 4\\n"}

The test is the row's own `check`, in the sandbox. Four samples (our choice), so that pass@k has some k.
"""

PROBLEMS = {
    "path": "openai/openai_humaneval:test", "prompt_column": "prompt", "id_column": "task_id", "verifier": "code",
    "instruction": "Complete the function; answer with the whole of it in one block of Python.", "subject": "code",
}  # fmt: skip
NUM_SAMPLES = 4
