"""`ded-ray`: thin commands over the rooms. Everything heavy is imported inside a command, so that --help is quick."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ded_ray.errors import plain_errors

app = typer.Typer(
    name="ded-ray",
    help="Distil a small model that reasons well: teacher answers, verified rewards, a curated corpus, weighted training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def place(text: str) -> Path:
    """A path, or the URL of a store. Imported when needed: --help is to be quick."""
    from ded_ray.files.folders import folder_at

    with plain_errors():
        return folder_at(text)


OutFolder = Annotated[Path, typer.Option("--out", parser=place, help="The run's folder, or a URL: made, or finished.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="Override one knob, e.g. train.epochs=3. Repeatable.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the recipe and its inputs, show the plan, write nothing.")]
MaybeFolder = Annotated[Path | None, typer.Option("--out", parser=place, help="The folder, or URL, of a run.")]
RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: one YAML file, see jobs/recipes/.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", parser=place, help="A run's folder, the --out of run.")]


@app.command()
def quickstart(out: OutFolder, overrides: Overrides = None, dry_run: DryRun = False) -> None:
    """Distil a tiny student on this machine, end to end, in minutes: no GPU, no network.

    Runs the recipe that comes with the package, over synthetic arithmetic and tiny models that come with it too.
    """
    _run(Path(__file__).parent / "tiny" / "quickstart.yaml", out, overrides, dry_run)


@app.command()
def run(recipe: RecipeFile, out: OutFolder, overrides: Overrides = None, dry_run: DryRun = False) -> None:
    """Run a recipe: ask student and teacher, verify, curate, train, serve, evaluate, report.

    The same command again does nothing when all is done, and goes on where it was when it was interrupted. Where
    RAY_ADDRESS is set the work goes to that cluster, else Ray is started here.
    """
    _run(recipe, out, overrides, dry_run)


def _run(recipe_path: Path, out: Path, overrides: list[str] | None, dry_run: bool) -> None:
    with plain_errors():
        from ded_ray.pipeline import plan_pipeline, run_pipeline
        from ded_ray.recipe.load import load_recipe
        from ded_ray.report.terminal import show_plan, show_run
        from ded_ray.runtime.memory import measured

        recipe = load_recipe(recipe_path, overrides)
        if dry_run:
            plan = plan_pipeline(recipe)
            show_plan(recipe.name, plan.rows, plan.prompt_preview, plan.warnings)
            return
        finished, machine = measured(lambda: run_pipeline(recipe, out))
        if not finished.num_stages_made:
            typer.echo(f"{out}: already done with this recipe; nothing to do. See {out / 'report.html'}")
            return
        show_run(finished)
        typer.echo(machine)
        typer.echo(f"report: {finished.folder / 'report.html'}")


@app.command()
def plan(
    recipe: RecipeFile,
    out: MaybeFolder = None,
    prices: Annotated[Path | None, typer.Option(help="What GPUs cost and do: YAML, see ded_ray/recipe/prices.py.")] = None,
    gpu_memory: Annotated[float | None, typer.Option(metavar="GIB", help="Of one GPU. Default: of an 80 GB one.")] = None,
    sample: Annotated[int, typer.Option(min=0, help="Ask each model N prompts first; the run uses the answers.")] = 0,
    overrides: Overrides = None,
) -> None:
    """Say before anything is spent what a recipe takes: tokens, GPU-hours, money, memory, disk, and what is impossible."""
    with plain_errors():
        from ded_ray.pipeline import plan_spending
        from ded_ray.recipe.load import load_prices, load_recipe
        from ded_ray.report.planned import show_spending

        read, known = load_recipe(recipe, overrides), load_prices(prices, gpu_memory)
        show_spending(read.name, plan_spending(read, out, prices=known, sample=sample))


@app.command()
def teachers(recipe: RecipeFile, out: OutFolder, overrides: Overrides = None) -> None:
    """Choose a teacher: each candidate answers the same questions, the student learns from each, and the best student wins.

    DED's smoke test. With --set teachers.proxy=rsr nothing is trained. The folder is a run's: `ded-ray run` with the same
    recipe goes on from here, and with `teacher: auto` only the winner answers the rest.
    """
    with plain_errors():
        from ded_ray.pipeline import choose_teacher
        from ded_ray.recipe.load import load_recipe
        from ded_ray.report.terminal import show_teachers
        from ded_ray.runtime.memory import measured

        loaded = load_recipe(recipe, overrides)
        choice, machine = measured(lambda: choose_teacher(loaded, out))
        show_teachers(choice)
        typer.echo(machine)


@app.command()
def manifests(
    recipe: RecipeFile,
    kind: Annotated[str, typer.Option(help="RayJob, RayCluster or RayService.")] = "RayJob",
    out: Annotated[str, typer.Option("--out-url", help="The run's folder or URL.")] = "s3://my-bucket/runs/mine",
    image: Annotated[str, typer.Option(help="Of every pod, see cluster/Dockerfile.")] = "ded-ray:0.1.0-gpu",
    overrides: Overrides = None,
) -> None:
    """Print a KubeRay manifest with pools sized for a recipe: what its steps hold at once, and no more."""
    with plain_errors():
        from ded_ray.runtime.manifests import manifest

        typer.echo(manifest(recipe, kind, out=out, image=image, overrides=overrides), nl=False)


@app.command()
def grade(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="JSON lines, Parquet, a folder or pattern of them, or OWNER/NAME of the hub."),
    ],
    out: Annotated[Path, typer.Option("--out", help="The Parquet file to write.")],
    verifier: Annotated[str, typer.Option(help="math, choice, code, or your own function, module:function.")] = "math",
    label: Annotated[
        str, typer.Option(metavar="COLUMN", help="A column of known verdicts (true/false, 1/0) to compare with.")
    ] = "",
    columns: Annotated[
        str, typer.Option(metavar="NAME=COLUMN,...", help="Where the file has other names: prompt=problem,answer=solution.")
    ] = "",
    rows: Annotated[bool, typer.Option("--rows", help="Print the verdict on every row too.")] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KNOB=VALUE", help="A knob of verify or rewards, e.g. verify.timeout_seconds=5."),
    ] = None,
) -> None:
    """Check completions against answers: adds status, reward, extracted and seconds to every row.

    FILE has the columns prompt, answer and completion. A completion is a text, chat messages that end with the
    assistant's, or a list of these: then every sample gets a row, numbered by the column `sample`. Other columns are
    carried through. Status is one of correct, wrong, no_answer, truncated (a `finish_reason` of a token limit, in any
    provider's words), and, for what could not be checked, timed_out, crashed, unverifiable: also what has no answer, no
    completion, or a `finish_reason` that is not known.
    """
    with plain_errors():
        from ded_ray.recipe.load import grade_config
        from ded_ray.report.terminal import show_graded, show_verdicts
        from ded_ray.stages.grade import grade_file

        summary = grade_file(file, out, grade_config(verifier, overrides, columns=columns), label)
        if rows:
            show_verdicts(out)
        show_graded(summary)


@app.command()
def export(
    folder: RunFolder,
    out: Annotated[Path, typer.Option("--out", help="The .jsonl file to write; its data card gets the same name with .md.")],
    form: Annotated[str, typer.Option("--format", help="messages, sharegpt or openai.")] = "messages",
) -> None:
    """Write what a run trains on as JSON lines for other trainers: conversations with weights and where they come from.

    messages: {"messages": [...], "weight": ...}; sharegpt: {"conversations": [...], "weight": ...}; openai: {"messages":
    [...], "metadata": {"weight": ...}}. `ded-ray grade` and the replay engine read all three.
    """
    with plain_errors():
        from ded_ray.run import Run
        from ded_ray.stages.export import export_corpus

        teachers = export_corpus(Run.open(folder), out, form)
        typer.echo(f"{out}: {teachers.total()} examples; {out.with_suffix('.md')} says what they are")


@app.command()
def serve(
    folder: RunFolder,
    models: Annotated[
        str, typer.Option(metavar="NAME,...", help="student, base, teacher (or teachers.0, ...), each by its name.")
    ] = "student,base",
    port: Annotated[int | None, typer.Option(help="Its port; 0 takes a free one. Default: the recipe's.")] = None,
    host: Annotated[str | None, typer.Option(help="Where it listens; 0.0.0.0: for other machines too.")] = None,
) -> None:
    """Serve a run's models behind an OpenAI-compatible API, with a page to try them, until interrupted.

    Clients must send the token that is in $DED_RAY_API_KEY, if one is there; without one only this machine is served.
    """
    import threading

    with plain_errors():
        from ded_ray.stages.serve import serve_run

        names = models.replace(" ", "").split(",")
        try:
            with serve_run(folder, names, host=host, port=port) as url:
                typer.echo(f"serving {', '.join(names)} at {url} (page: {url.removesuffix('v1')}); Ctrl-C stops it")
                threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo("stopped")


@app.command()
def evaluate(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", parser=place, help="The folder of a run; or --url and --model.")
    ] = None,
    benchmarks: Annotated[
        str, typer.Option(metavar="NAME[=FILE],...", help="Known benchmarks, in the recipe's place: gsm8k,aime24=my.jsonl.")
    ] = "",
    url: Annotated[str, typer.Option(help="An OpenAI-compatible endpoint to measure, such as http://HOST:8000/v1.")] = "",
    model: Annotated[str, typer.Option(help="The model's name at that endpoint.")] = "",
    out: MaybeFolder = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples per problem. Default: as the papers have it.")] = None,
    compare: Annotated[
        Path | None, typer.Option(parser=place, help="Another run's folder or rows: show where scores differ.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Measure a run's models again, or any endpoint, and say what decided the scores.

    Of a run nothing is trained again; --set evaluate.... changes how it is measured. Samples that are there already are
    not asked for again. Benchmarks named here are out of domain, but for those that the run's recipe calls in-domain or
    trains on the data set of. An endpoint's answers go to --out; its token is in $DED_RAY_API_KEY or $OPENAI_API_KEY.
    """
    with plain_errors():
        from ded_ray.pipeline import evaluate_again, measure_endpoint
        from ded_ray.report.diagnosis import show_why
        from ded_ray.report.terminal import show_run

        options: Any = {"benchmarks": benchmarks, "samples": samples, "overrides": overrides}
        show_run(run := measure_endpoint(url, model, out, **options) if url else evaluate_again(folder, **options))
        show_why(run, compare)


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
        int, typer.Option(min=0, metavar="N", help="Show N questions instead, right and wrong answers side by side.")
    ] = 0,
) -> None:
    """Show a run on the terminal: what went in, what was kept, what was dropped and why, and the scores."""
    with plain_errors():
        from ded_ray.report.samples import show_samples
        from ded_ray.report.terminal import show_run
        from ded_ray.run import Run

        show_samples(Run.open(folder), samples) if samples else show_run(Run.open(folder))


@app.command()
def explain(
    folder: RunFolder,
    name: Annotated[
        str,
        typer.Argument(metavar="ID", help="A rollout, GROUP_ID/INDEX as show and the report have it, or a problem's id."),
    ],
) -> None:
    """Explain one rollout: its teacher and seed, its verdict and why, its advantage, distances and weight, or why not.

    Of a problem: why it was dropped, or who answered it and what became of every answer.
    """
    with plain_errors():
        from ded_ray.report.explain import explain as lines_of
        from ded_ray.report.terminal import show_history
        from ded_ray.run import Run

        show_history(name, lines_of(Run.open(folder), name))


def main() -> None:
    app()


if __name__ == "__main__":
    main()
