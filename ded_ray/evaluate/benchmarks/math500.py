"""MATH-500: 500 problems of MATH (Hendrycks et al., 2103.03874) that Lightman et al. (2305.20050) held out; MIT.

https://huggingface.co/datasets/HuggingFaceH4/MATH-500

    {"problem": "What is $2^3$?", "solution": "It is $\\\\boxed{8}$.", "answer": "8", "subject": "Algebra", "level": 1,
     "unique_id": "test/algebra/0.json"}

Answers are compared as mathematics. Four samples: open-r1 takes 4 (open-r1#633), DED reports MATH-500 without a number.
"""

from ded_ray.evaluate.benchmarks import BOXED

PROBLEMS = {
    "path": "HuggingFaceH4/MATH-500:test", "prompt_column": "problem", "id_column": "unique_id", "verifier": "math",
    "instruction": BOXED, "subject": "math",
}  # fmt: skip
NUM_SAMPLES = 4
