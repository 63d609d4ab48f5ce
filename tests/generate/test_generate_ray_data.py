from functools import partial

import pyarrow.parquet as pq
import pytest
import ray
from pydantic import SecretStr
from ray.util.placement_group import remove_placement_group

from ded_ray.errors import BadInput, Stopped
from ded_ray.files.parts import read_records, write_part
from ded_ray.generate.identity import GenerateJob, group_id, identity
from ded_ray.generate.monitor import EngineMonitor
from ded_ray.generate.ray_data import _bundles, generate
from ded_ray.generate.worker import GenerateWorker, storable
from ded_ray.recipe import Adaptive, Chat, ReplayEngine, Sampling, ScriptedEngine, Teacher, Train, Verify, VllmEngine
from ded_ray.records import Group, Problem, Rollout, to_table
from ded_ray.runtime.needs import check_gpus, engine_needs
from ded_ray.tiny.problems import make_problems
from ded_ray.verify.worker import AllVerdictsAgree

TEACHER = Teacher(model="scripted", engine=ScriptedEngine(batch_size=4, workers=2), sampling=Sampling(num_rollouts=3))


def answered(problems, folder, generator=TEACHER, *stop_rule):
    """(groups, how many rollouts were really generated)"""
    monitor = ray.remote(EngineMonitor).remote(folder / "quarantine.jsonl", 3)
    (folder / "problems").mkdir(parents=True, exist_ok=True)
    pq.write_table(to_table(problems, Problem), folder / "problems" / "p.parquet")
    job = GenerateJob(generator, 0, folder / "groups", folder / "quarantine.jsonl")
    with generate(job, folder / "problems", monitor, *stop_rule) as groups:
        rows = [Group.from_row(row) for row in groups.take_all()]
    return sorted(rows, key=lambda g: g.group_id), ray.get(monitor.read.remote()).get("rollouts", 0)


def test_what_was_paid_for_is_never_made_again(ray_cluster, tmp_path):
    problems = make_problems("chain", 22, (3, 6), 0)
    first, num_made = answered(problems[:10], tmp_path)
    assert num_made == 30
    both, num_made = answered(problems, tmp_path)
    assert num_made == 36
    assert [g for g in both if g.group_id in {f.group_id for f in first}] == first
    again, num_made = answered(problems, tmp_path)
    assert num_made == 0
    assert again == both


def test_half_written_files_and_groups_of_other_recipes_are_left_out(ray_cluster, tmp_path):
    problems = make_problems("chain", 6, (3, 6), 0)
    other = TEACHER.model_copy(update={"sampling": Sampling(num_rollouts=2)})
    answered(problems, tmp_path, other)
    (tmp_path / "groups" / ".part-1.parquet.abc").write_bytes(b"PAR1 half")
    groups, num_made = answered(problems, tmp_path)
    assert num_made == 18
    assert {len(g.rollouts) for g in groups} == {3}
    assert len(list(read_records(tmp_path / "groups", Group))) == 12, "the other recipe's rollouts stay on disk"


def test_a_group_is_known_by_what_made_it():
    [problem] = make_problems("chain", 1, (3, 6), 0)
    same = TEACHER.model_copy(update={"engine": ScriptedEngine(batch_size=7)})
    hotter = TEACHER.model_copy(update={"sampling": Sampling(temperature=1.1)})
    told = TEACHER.model_copy(update={"chat": Chat(system="Be brief.")})
    assert group_id(problem, identity(TEACHER, 0)) == group_id(problem, identity(same, 0))
    assert len({identity(TEACHER, 0), identity(hotter, 0), identity(told, 0), identity(TEACHER, 1)}) == 4


def test_a_replayed_file_is_known_by_its_bytes(tmp_path):
    teacher = Teacher(model="t", engine=ReplayEngine(path=str(tmp_path / "r.jsonl")))
    (tmp_path / "r.jsonl").write_text("{}")
    first = identity(teacher, 0)
    (tmp_path / "r.jsonl").write_text("{} ")
    assert identity(teacher, 0) != first


def test_a_corrected_answer_reaches_rollouts_that_were_paid_for(ray_cluster, tmp_path):
    problems = make_problems("chain", 6, (3, 6), 0)
    answered(problems, tmp_path)
    for problem in problems:
        problem.answer, problem.student_pass_rate = "corrected", 0.5
    groups, num_made = answered(problems, tmp_path)
    assert num_made == 0
    assert {(g.answer, g.student_pass_rate) for g in groups} == {("corrected", 0.5)}


def test_groups_that_a_dying_actor_doubled_are_single_again(ray_cluster, tmp_path):
    problems = make_problems("chain", 8, (3, 6), 0)
    groups, _ = answered(problems, tmp_path)
    write_part(tmp_path / "groups", to_table(groups[:3], Group))
    again, num_made = answered(problems, tmp_path)
    assert (again, num_made) == (groups, 0)
    assert len(list(read_records(tmp_path / "groups", Group))) == 8


@pytest.mark.slow
def test_adaptive_sampling_goes_on_only_where_a_group_is_mixed(ray_cluster, tmp_path):
    problems = [
        problem for problem in make_problems("chain", 60, (3, 6), 0) if problem.answer != "0"
    ]  # "not 0" is read as 0
    adaptive = Adaptive(first=2, step=3, at_most=6)
    engine = ScriptedEngine(batch_size=4, error_rate=0.3)
    generator = Teacher(model="scripted", engine=engine, sampling=Sampling(num_rollouts=6, adaptive=adaptive))
    groups, num_made = answered(problems, tmp_path, generator, partial(AllVerdictsAgree, Verify()))
    assert generator.sampling.rounds == [2, 3, 1]
    right = [[f"boxed{{{g.answer}}}" in r.completion for r in g.rollouts] for g in groups]
    for each in right:
        settled_at = next((n for n in (2, 5) if len(set(each[:n])) == 1), 6)
        assert len(each) == settled_at
    assert {len(each) for each in right} >= {2, 6}
    assert num_made == sum(map(len, right))
    fixed = Teacher(model="scripted", engine=engine, sampling=Sampling(num_rollouts=6))
    whole = {g.problem_id: g.rollouts for g in answered(problems, tmp_path / "fixed", fixed)[0]}
    for group in groups:
        assert group.rollouts == whole[group.problem_id][: len(group.rollouts)], "the same streams as without rounds"


def test_several_gpus_are_bundles_of_a_placement_group(ray_cluster):
    """No GPU is here to take them: what is asked for is looked at, and that it is given back."""
    placed = []
    engine = VllmEngine(tensor_parallel=2, pipeline_parallel=2, num_cpus=0.5)
    options = _bundles(engine, placed)()
    [group] = placed
    assert group.bundle_specs == [{"GPU": 1, "CPU": 0.5}, *[{"GPU": 1}] * 3]
    assert options["scheduling_strategy"].placement_group_capture_child_tasks
    assert engine_needs(engine).resources == {"num_cpus": 0.5, "num_gpus": 0}
    assert engine_needs(VllmEngine()).resources == {"num_cpus": 1, "num_gpus": 1}
    assert _bundles(VllmEngine(), placed) is None
    remove_placement_group(group)


def test_what_was_saved_before_its_task_was_lost_is_found_and_not_made_again(ray_cluster, tmp_path):
    """As after the death of an actor or of a machine that held what was made: Ray asks for the same once more."""
    engine = ScriptedEngine(notes=str(tmp_path / "notes"))
    generator = Teacher(model="scripted", engine=engine, sampling=Sampling(num_rollouts=2))
    monitor = ray.remote(num_cpus=0)(EngineMonitor).remote(tmp_path / "quarantine.jsonl", 5)
    job = GenerateJob(generator, 0, tmp_path / "groups", tmp_path / "quarantine.jsonl")
    actor = ray.remote(num_cpus=0.5)(GenerateWorker).remote(job, monitor, SecretStr(""))
    problems = make_problems("chain", 5, (3, 4), 0)
    first = ray.get(actor.answer.remote(problems[:3]))
    again = ray.get(actor.answer.remote(problems))
    assert sorted(g.problem_id for g in again) == sorted(p.problem_id for p in problems)
    assert {g.group_id: g for g in first}.items() <= {g.group_id: g for g in again}.items()
    made = (tmp_path / "notes").read_text().split()
    assert sorted(made) == sorted(p.problem_id for p in problems), "each once"


def test_what_no_file_can_hold_is_replaced():
    broken = Rollout(index=0, completion="a \ud83d b", num_tokens=1, finish_reason="stop", seed=0)
    assert storable(broken, 3).completion == "a ? b"
    assert storable(broken, 3).index == 3


def test_what_makes_an_actors_arguments_is_called_once_for_each_actor(ray_cluster, tmp_path):
    """For engines over several GPUs it reserves them: Ray Data's memory watcher would call it, and them, for nobody."""
    called = []

    class Same:
        def __call__(self, batch):
            return batch

    rows = ray.data.range(4).map_batches(
        Same, batch_size=1, compute=ray.data.ActorPoolStrategy(size=2), num_cpus=0.5,
        ray_remote_args_fn=lambda: called.append(1) or {},
    )  # fmt: skip
    assert len(rows.take_all()) == 4
    assert len(called) == 2


def test_an_engine_that_cannot_be_loaded_stops_the_run_in_one_line(ray_cluster, tmp_path):
    generator = Teacher(model=str(tmp_path / "no model"), sampling=Sampling(num_rollouts=1))
    with pytest.raises(Stopped, match="no model: its engine cannot be loaded") as stopped:
        answered(make_problems("chain", 2, (3, 4), 0), tmp_path, generator)
    assert "\n" not in str(stopped.value)


def test_gpus_that_this_machine_lacks_are_not_waited_for(ray_cluster):
    generator = Teacher(model="m", engine=VllmEngine(workers=2, tensor_parallel=2))
    with pytest.raises(BadInput, match="its engines need 4 GPUs, and this machine has 0"):
        check_gpus([generator], Train())
    check_gpus([Teacher(model="m", engine=VllmEngine(device="cpu")), TEACHER], Train())
    with pytest.raises(BadInput, match="train: its 2 workers need 2 GPUs, and this machine has 0"):
        check_gpus([], Train(use_gpu=True))
