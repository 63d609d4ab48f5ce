"""AIME 2024: the 30 problems of the American Invitational Mathematics Examination of 2024; answers are 0 to 999.

https://huggingface.co/datasets/HuggingFaceH4/aime_2024

    {"id": 1, "problem": "Find the number of ...", "answer": "33"}

Sixteen samples, as DED has them (2508.09883, section 4). Thirty problems are few: see the second interval.
"""

from ded_ray.evaluate.benchmarks import BOXED

PROBLEMS = {
    "path": "HuggingFaceH4/aime_2024:train", "prompt_column": "problem", "id_column": "id", "verifier": "math",
    "instruction": BOXED, "subject": "math",
}  # fmt: skip
NUM_SAMPLES = 16
