"""AIME 2025: the 30 problems of the American Invitational Mathematics Examination of 2025; answers are 0 to 999.

https://huggingface.co/datasets/math-ai/aime25

    {"id": 1, "problem": "Find the number of ...", "answer": "33"}

Sixteen samples, as DED has them (2508.09883, section 4). Thirty problems are few: see the second interval.
"""

from ded_ray.evaluate.benchmarks import BOXED

PROBLEMS = {
    "path": "math-ai/aime25:test", "prompt_column": "problem", "id_column": "id", "verifier": "math", "instruction": BOXED,
    "subject": "math",
}  # fmt: skip
NUM_SAMPLES = 16
