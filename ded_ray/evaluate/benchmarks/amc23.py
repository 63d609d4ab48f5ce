"""AMC 2023: 40 problems of the American Mathematics Competitions 12 of 2023 with integer answers.

https://huggingface.co/datasets/math-ai/amc23

    {"id": 0, "problem": "How many ...?", "answer": 27.0, "url": "https://..."}

Sixteen samples, as for AIME: the set is as small. The number is our choice.
"""

from ded_ray.evaluate.benchmarks import BOXED

PROBLEMS = {
    "path": "math-ai/amc23:test", "prompt_column": "question", "id_column": "id", "verifier": "math", "instruction": BOXED,
    "subject": "math",
}  # fmt: skip
NUM_SAMPLES = 16
