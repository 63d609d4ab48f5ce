"""Every knob, typed and explained once, a file per room; an unknown knob is refused. `load.py` reads the YAML.

Where a paper is silent, the default is our choice and says so. DED is arXiv 2508.09883, AdvDistill 2507.00054.
"""

from ded_ray.recipe.budget import Budget
from ded_ray.recipe.curate import Compress, Curate, Diversity, Kernel, Quality, Questions, Reading, Weights
from ded_ray.recipe.engines import EngineConfig, OpenAIEngine, ReplayEngine, ScriptedEngine, TransformersEngine, VllmEngine
from ded_ray.recipe.evaluate import Benchmark, Evaluate
from ded_ray.recipe.generate import Adaptive, Chat, Generator, Sampling, Student, Teacher
from ded_ray.recipe.grade import Grade
from ded_ray.recipe.prices import Prices, Speed
from ded_ray.recipe.problems import BenchmarkProblems, FileProblems, Problems, TinyProblems
from ded_ray.recipe.recipe import Recipe
from ded_ray.recipe.rewards import CorrectnessReward, FormatReward, LengthReward, Rewards, TruncationReward
from ded_ray.recipe.serve import Serve
from ded_ray.recipe.teachers import Teachers
from ded_ray.recipe.train import Ddp, DeepSpeed, Fsdp2, HeldOut, Lora, PassRate, Train, Wandb
from ded_ray.recipe.verify import Code, Container, Judge, Verify

__all__ = [
    "Adaptive",
    "Benchmark",
    "BenchmarkProblems",
    "Budget",
    "Chat",
    "Code",
    "Compress",
    "Container",
    "CorrectnessReward",
    "Curate",
    "Ddp",
    "DeepSpeed",
    "Diversity",
    "EngineConfig",
    "Evaluate",
    "FileProblems",
    "FormatReward",
    "Fsdp2",
    "Grade",
    "HeldOut",
    "Judge",
    "Kernel",
    "LengthReward",
    "Lora",
    "Generator",
    "OpenAIEngine",
    "PassRate",
    "Prices",
    "Problems",
    "Quality",
    "Questions",
    "Reading",
    "Recipe",
    "ReplayEngine",
    "Rewards",
    "Sampling",
    "ScriptedEngine",
    "Serve",
    "Speed",
    "Student",
    "Teacher",
    "Teachers",
    "TinyProblems",
    "Train",
    "TransformersEngine",
    "TruncationReward",
    "Verify",
    "VllmEngine",
    "Wandb",
    "Weights",
]
