"""`ded-ray`: thin commands over the rooms. Everything heavy is imported inside a command, so that --help is quick."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="ded-ray",
    help="Distil a small model that reasons well: teacher answers, verified rewards, a curated corpus, weighted training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

EXIT_FAILED, EXIT_BAD_INPUT = 1, 2

OutFolder = Annotated[Path, typer.Option("--out", help="The run's folder. Made if new; finished if interrupted.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="Override one knob, e.g. train.epochs=3. Repeatable.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the recipe and its inputs, show the plan, write nothing.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run (the --out of quickstart or run).")]


@contextmanager
def plain_errors() -> Iterator[None]:
    """Bad input: one line, exit code 2. A stop or an interruption: one line, 1. A failure: its traceback, exit code 1."""
    from ded_ray.knobs import BadInput, Stopped

    try:
        yield
    except Stopped as error:
        typer.echo(f"ded-ray: {error}; the same command goes on from here", err=True)
        raise typer.Exit(EXIT_FAILED) from error
    except BadInput as error:
        typer.echo(f"ded-ray: {error}", err=True)
        raise typer.Exit(EXIT_BAD_INPUT) from error
    except KeyboardInterrupt as error:
        typer.echo("ded-ray: interrupted; the same command goes on from here", err=True)
        raise typer.Exit(EXIT_FAILED) from error


@app.command()
def quickstart(out: OutFolder, overrides: Overrides = None, dry_run: DryRun = False) -> None:
    """Distil a tiny student on this machine, end to end, in minutes: no GPU, no network.

    Runs the recipe that comes with the package, over synthetic arithmetic and tiny models that come with it too.
    """
    recipe = Path(__file__).parent / "tiny" / "quickstart.yaml"
    _run(recipe, out, overrides, dry_run)


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: one YAML file, see jobs/recipes/.")],
    out: OutFolder,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Run a recipe: ask student and teacher, verify, curate, train, serve, evaluate, report.

    The same command again does nothing when all is done, and goes on where it was when it was interrupted. Where
    RAY_ADDRESS is set the work goes to that cluster, else Ray is started here.
    """
    _run(recipe, out, overrides, dry_run)


def _run(recipe_path: Path, out: Path, overrides: list[str] | None, dry_run: bool) -> None:
    with plain_errors():
        from ded_ray.recipe_file import load_recipe

        recipe = load_recipe(recipe_path, overrides)
        if dry_run:
            from ded_ray.inputs import read_inputs
            from ded_ray.report.terminal import show_plan

            inputs = read_inputs(recipe)
            show_plan(recipe, inputs.problems, inputs.benchmarks, inputs.first_look)
            return
        from ded_ray.pipeline import run_pipeline
        from ded_ray.report.terminal import show_run

        finished, machine = _watched(lambda: run_pipeline(recipe, out))
        if not finished.num_stages_made:
            typer.echo(f"{out}: already done with this recipe; nothing to do. See {out / 'report.html'}")
            return
        show_run(finished)
        typer.echo(machine)
        typer.echo(f"report: {finished.folder / 'report.html'}")


def _watched(work: Callable[[], Any]) -> tuple[Any, str]:
    """The result of some work, and one line that says how long it took and how much memory."""
    import time

    from ded_ray.machine import peak_memory

    started = time.monotonic()
    with peak_memory() as memory:
        result = work()
    return result, f"{time.monotonic() - started:.0f} s, peak memory {memory.peak_bytes / 1e9:.1f} GB"


@app.command()
def teachers(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe that lists the candidates under teachers.")],
    out: OutFolder,
    overrides: Overrides = None,
) -> None:
    """Choose a teacher: each candidate answers the same questions, the student learns from each, and the best student wins.

    DED's smoke test. With --set teachers.proxy=rsr nothing is trained. The folder is a run's: `ded-ray run` with the same
    recipe goes on from here, and with `teacher: auto` only the winner answers the rest.
    """
    with plain_errors():
        from ded_ray import pipeline
        from ded_ray.inputs import check_comparable, read_inputs
        from ded_ray.recipe_file import load_recipe
        from ded_ray.report.terminal import show_teachers
        from ded_ray.run import Run
        from ded_ray.smoke import smoke_test

        loaded = load_recipe(recipe, overrides)
        check_comparable(loaded)
        inputs = read_inputs(loaded)

        def choose() -> dict[str, Any]:
            run = Run.create(out, loaded)
            return smoke_test(run, inputs, pipeline.choose_problems(run, inputs))

        found, machine = _watched(choose)
        show_teachers(found)
        typer.echo(machine)


@app.command()
def grade(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl or .parquet file: prompt, answer, completion.")],
    out: Annotated[Path, typer.Option("--out", help="The Parquet file to write.")],
    verifier: Annotated[
        str, typer.Option(help="math, choice, code, or a function of your own as module:function.")
    ] = "math",
    label: Annotated[
        str, typer.Option(metavar="COLUMN", help="A column of known verdicts (true/false, 1/0) to compare with.")
    ] = "",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KNOB=VALUE", help="A knob of verify or rewards, e.g. verify.timeout_seconds=5."),
    ] = None,
) -> None:
    """Check completions against answers: adds status, reward, extracted and seconds to every row.

    Other columns are carried through. A `finish_reason` of 'length' makes a row truncated. Status is one of correct,
    wrong, no_answer, truncated, and, for what could not be checked, timed_out, crashed, unverifiable.
    """
    with plain_errors():
        from functools import partial

        from ded_ray.recipe_file import grade_knobs
        from ded_ray.sources.check import check_function

        knobs = grade_knobs(verifier, overrides)
        check_function(verifier, "--verifier")
        from ded_ray.inputs import check_answers
        from ded_ray.judging import judge_of
        from ded_ray.report.terminal import show_graded
        from ded_ray.verify.grade import grade_file

        if knobs.verify.judge is not None:
            check_answers([], knobs.verify.judge, "verify.judge")
        replies = out.with_name(f"{out.stem}.judge_rollouts")
        show_graded(grade_file(file, out, knobs, label, partial(judge_of, knobs.verify, 0, replies)))


@app.command()
def serve(
    folder: RunFolder,
    port: Annotated[
        int | None, typer.Option(help="Port of the endpoint; 0 takes a free one. Default: the recipe's.")
    ] = None,
) -> None:
    """Serve a run's student behind an OpenAI-compatible API, until interrupted."""
    with plain_errors():
        from ded_ray.run import Run

        opened = Run.open(folder)
        model = opened.finished_stage("checkpoint").folder / "model"
        from ded_ray.machine import start_ray

        start_ray()
        import contextlib
        import threading

        from ded_ray.serve.app import served

        knobs = opened.recipe.serve if port is None else opened.recipe.serve.model_copy(update={"port": port})
        with contextlib.suppress(KeyboardInterrupt), served(str(model), "student", knobs) as url:
            typer.echo(f"serving model 'student' at {url} (POST {url}/chat/completions); Ctrl-C stops it")
            threading.Event().wait()


@app.command()
def evaluate(folder: RunFolder, overrides: Overrides = None) -> None:
    """Measure a run's base, student and teacher again, perhaps with other knobs (--set evaluate....).

    Its student is taken as it is: nothing is trained again.
    """
    with plain_errors():
        import shutil

        from ded_ray import pipeline
        from ded_ray.inputs import read_inputs
        from ded_ray.knobs import BadInput
        from ded_ray.recipe_file import load_recipe
        from ded_ray.report.terminal import show_run
        from ded_ray.run import Run
        from ded_ray.smoke import chosen_teachers

        opened = Run.open(folder)
        checkpoint = opened.finished_stage("checkpoint")
        recipe = load_recipe(folder / "recipe.yaml", overrides)
        if recipe.model_copy(update={"evaluate": opened.recipe.evaluate}) != opened.recipe:
            raise BadInput("--set: evaluate only takes knobs of evaluate; use ded-ray run for the others")
        inputs = read_inputs(recipe)
        for old in folder.glob("evaluate_*"):
            shutil.rmtree(old)
        run = Run.create(folder, recipe)
        pipeline.report(run, checkpoint, pipeline.evaluate(run, inputs, checkpoint, chosen_teachers(run)))
        show_run(run)


@app.command()
def report(folder: RunFolder) -> None:
    """Write a run's report.html again, from what its folder holds."""
    with plain_errors():
        from ded_ray.report.page import write_report
        from ded_ray.run import Run

        typer.echo(write_report(Run.open(folder)))


@app.command()
def show(
    folder: RunFolder,
    samples: Annotated[
        int, typer.Option(min=0, help="Show so many questions instead, right and wrong answers side by side.")
    ] = 0,
) -> None:
    """Show a run on the terminal: what went in, what was kept, what was dropped and why, and the scores."""
    with plain_errors():
        if samples:
            from ded_ray.report.side_by_side import show_samples
            from ded_ray.run import Run

            show_samples(Run.open(folder), samples)
            return
        from ded_ray.report.terminal import show_run
        from ded_ray.run import Run

        show_run(Run.open(folder))


@app.command()
def explain(
    folder: RunFolder,
    rollout: Annotated[str, typer.Argument(metavar="ROLLOUT_ID", help="GROUP_ID/INDEX, as show and the report have it.")],
) -> None:
    """Explain one rollout: its teacher and seed, its verdict and why, its advantage, distances and weight, or why not."""
    with plain_errors():
        from ded_ray.report.life import life_of, told
        from ded_ray.report.terminal import show_life
        from ded_ray.run import Run

        show_life(rollout, told(life_of(Run.open(folder), rollout)))


def main() -> None:
    app()


if __name__ == "__main__":
    main()
