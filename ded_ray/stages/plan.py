"""What a run of a recipe would do, in rows and at most how many tokens: `--dry-run`."""

from dataclasses import dataclass

from ded_ray.curate.questions import choose_questions
from ded_ray.models.load import model_path
from ded_ray.recipe import Recipe, Sampling
from ded_ray.stages.inputs import Inputs


@dataclass(frozen=True)
class Plan:
    rows: list[tuple[str, str]]  # (stage, what it takes at most)
    prompt_preview: dict[str, str]  # what each model would be shown of the first problem
    warnings: list[str]  # a line on every source with problems that nothing can check


def plan_run(recipe: Recipe, inputs: Inputs) -> Plan:
    """The plan of a recipe whose inputs were read."""
    problems, _ = choose_questions(inputs.problems, inputs.benchmarks, recipe.curate.questions)
    num_problems = sum(problem.dropped_because is None for problem in problems)
    rows = [("problems", f"{num_problems} of {len(problems)}")]
    if recipe.student.measure_pass_rate:
        rows.append(("student answers", _rollouts(num_problems, recipe.student.sampling)))
    if recipe.teachers.choose:
        rows += _smoke_test(recipe, inputs, num_problems)
    num_kept, several = 0, len(recipe.teachers.candidates) > 1
    for teacher in recipe.teachers.candidates:
        rows.append((f"{teacher.model if several else 'teacher'} answers", _rollouts(num_problems, teacher.sampling)))
        most = teacher.sampling.most_rollouts
        kept = min(recipe.curate.diversity.num_kept or most, most)
        num_kept = max(num_kept, kept) if recipe.teachers.choose else num_kept + kept
    rows.append(("train", f"{num_problems * num_kept} examples, {_steps(recipe, num_problems * num_kept)}"))
    rows.append(("", _memory(recipe)))
    for benchmark in recipe.evaluate.benchmarks:
        samples = benchmark.num_samples or recipe.evaluate.sampling.num_rollouts
        sampling = recipe.evaluate.sampling.model_copy(update={"num_rollouts": samples, "adaptive": None})
        asked = _rollouts(len(inputs.benchmarks[benchmark.name]), sampling)
        rows.append((f"evaluate {benchmark.name}", f"{asked}, per model"))
    return Plan(rows, inputs.prompt_preview, inputs.warnings)


def _steps(recipe: Recipe, num_examples: int) -> str:
    """How long it trains at most: all epochs, or the steps after which it ends."""
    config = recipe.train
    steps = config.epochs * -(-num_examples // config.batch_size)
    if config.max_steps is not None and config.max_steps < steps:
        return f"{config.max_steps} steps of {config.batch_size} examples (train.max_steps)"
    return f"{config.epochs} epochs of batches of {config.batch_size}"


def _memory(recipe: Recipe) -> str:
    """What each training worker will hold, by the formula of train/memory.py."""
    from transformers import AutoConfig

    from ded_ray.train.memory import memory_of

    memory = memory_of(AutoConfig.from_pretrained(model_path(recipe.student.model)), recipe.train)
    parts = [f"{name} {size / 2**30:.1f}" for name, size in vars(memory).items()]
    where = "GPU" if recipe.train.use_gpu else "worker"
    return f"about {memory.total / 2**30:.1f} GiB per {where} ({', '.join(parts)})"


def _smoke_test(recipe: Recipe, inputs: Inputs, num_problems: int) -> list[tuple[str, str]]:
    config = recipe.teachers
    num_questions = min(config.num_questions, num_problems)
    num_held_out = sum(len(inputs.benchmarks[benchmark.name]) for benchmark in recipe.evaluate.in_domain)
    candidates = f"smoke test, each of {len(config.candidates)}"
    rows = [(candidates, f"{num_questions} + {num_held_out} answers of the teacher")]
    if not config.proxy:
        measured = _rollouts(num_held_out, recipe.evaluate.sampling)
        rows.append(("  its student", f"{config.epochs} epochs, then {measured}"))
    return [*rows, ("", "then one of:")]


def _rollouts(num_problems: int, sampling: Sampling) -> str:
    total = num_problems * sampling.most_rollouts
    return f"{num_problems} x {sampling.most_rollouts} = {total} rollouts, {total * sampling.max_tokens} tokens"
