"""`ded-ray grade`: a user's file of completions through the verifiers; through actors where there are many rows."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ded_ray.errors import BadInput
from ded_ray.generate.preflight import check_answers
from ded_ray.recipe import Grade
from ded_ray.stages.verdicts import open_judge
from ded_ray.verify.grade import GradeWorker, Summary, added_columns
from ded_ray.verify.grade_input import ROWS_PER_PART, GradeInput, checked_parts
from ded_ray.verify.own import check_function

if TYPE_CHECKING:
    import pyarrow as pa

GRADED = ".graded.parquet"
"""The dot keeps it out of what Ray reads as the folder's parts."""


def grade_file(path: str | Path, out: Path, config: Grade, label: str = "") -> Summary:
    """Grade every row of `path` into the Parquet file `out`, in order and in bounded memory.

    `out` appears only when it is whole. `label` is a column of known verdicts to compare with. A judge answers in the
    same actors, which then need its resources too. Raises BadInput for what cannot be used.
    """
    check_function(config.verifier, "--verifier")
    if config.verify.judge is not None:
        check_answers([], config.verify.judge, "verify.judge")
    if out.suffix != ".parquet":
        raise BadInput(f"{out}: --out must name a .parquet file")
    if not out.parent.is_dir():
        raise BadInput(f"{out}: there is no folder {out.parent}; make it first")
    import pyarrow.parquet as pq

    summary = Summary()
    writer: pq.ParquetWriter | None = None
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".grade-") as folder:
        parts = Path(folder)
        num_rows = checked_parts(GradeInput(path, config, added_columns(config), label), parts)
        for batch in _graded(parts, num_rows, config, judge_replies(out)):
            writer = writer or pq.ParquetWriter(parts / GRADED, batch.schema)
            writer.write_table(batch)
            summary.add(batch, label)
        assert writer is not None
        writer.close()
        (parts / GRADED).replace(out)
    return summary


def judge_replies(out: Path) -> Path:
    """Where a judge's replies are kept, so that none is paid for twice."""
    return out.with_name(f"{out.stem}.judge_rollouts")


def _graded(parts: Path, num_rows: int, config: Grade, replies: Path) -> "Iterator[pa.Table]":
    """The graded parts in their order. What is work for one actor is graded here, and Ray is not started."""
    if num_rows > ROWS_PER_PART or config.verify.judge is not None:
        yield from _graded_by_actors(parts, config, replies)
        return
    import pyarrow.parquet as pq

    worker = GradeWorker(config)
    try:
        for part in sorted(parts.glob("*.parquet")):
            yield worker(pq.read_table(part))
    finally:
        worker.close()


def _graded_by_actors(parts: Path, config: Grade, replies: Path) -> "Iterator[pa.Table]":
    from ded_ray.runtime.connect import start_ray
    from ded_ray.runtime.map_groups import actor_pool
    from ded_ray.runtime.needs import READ_OR_WRITE, engine_needs, verify_needs

    needs, judge_config = verify_needs(config.verify), config.verify.judge
    num_cpus = max(needs.num_cpus, engine_needs(judge_config.engine).num_cpus if judge_config else 0)
    start_ray(num_cpus=needs.most * num_cpus + 2 * READ_OR_WRITE.num_cpus)
    import ray
    from ray.data import DataContext

    DataContext.get_current().execution_options.preserve_order = True
    num_parts = len(list(parts.glob("*.parquet")))
    with open_judge(config.verify, 0, replies) as judge:
        graded = ray.data.read_parquet(str(parts), override_num_blocks=num_parts).map_batches(
            GradeWorker,
            fn_constructor_args=(config, judge),
            batch_size=ROWS_PER_PART,
            batch_format="pyarrow",
            compute=actor_pool(config.verify.workers),
            **(judge.resources if judge else needs.resources),
        )
        yield from graded.iter_batches(batch_size=ROWS_PER_PART, batch_format="pyarrow")
