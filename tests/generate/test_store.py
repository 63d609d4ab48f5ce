import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from ded_ray.files.parts import read_records, write_part
from ded_ray.generate.identity import Ids, as_number
from ded_ray.generate.store import GROUPS_PER_PART, GroupWriter, compact, find_recent, read_journal
from ded_ray.records import Group, Problem, Rollout, stable_hash, to_table


def group(i: int) -> Group:
    rollout = Rollout(
        index=0, completion=f'line\n"{i}" é\u2028', num_tokens=3, finish_reason="stop", seed=i, mean_logprob=-0.1
    )
    problem = Problem(problem_id=str(i), prompt="?", answer="1", choices=["a"])
    return Group.of(problem, stable_hash(i), "m", [rollout])


def test_a_saved_group_is_on_disk_at_once_and_comes_back_as_it_was(tmp_path):
    saver = GroupWriter(tmp_path)
    saver.save([group(1)])
    assert find_recent(tmp_path, {group(1).group_id, "0" * 16}, time.time()) == {group(1).group_id: group(1)}
    assert find_recent(tmp_path, {group(1).group_id}, time.time() + 3600) == {}
    saver.save([group(2)])
    saved = compact(tmp_path)
    assert sorted(saved.read([group(1).group_id, group(2).group_id]), key=lambda g: g.problem_id) == [group(1), group(2)]
    assert not list(tmp_path.glob(".journal-*"))


def test_many_groups_become_parts(tmp_path):
    saver = GroupWriter(tmp_path)
    for i in range(GROUPS_PER_PART + 1):
        saver.save([group(i)])
    assert len(list(tmp_path.glob("part-*"))) == 1
    [journal] = tmp_path.glob(".journal-*")
    assert read_journal(journal) == [group(GROUPS_PER_PART)]
    assert len(compact(tmp_path).ids) == GROUPS_PER_PART + 1


def test_a_process_killed_while_it_saves_loses_at_most_the_line_it_was_writing(tmp_path):
    code = textwrap.dedent(f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_store import GroupWriter, group
        writer = GroupWriter(Path({str(tmp_path)!r}))
        for i in range(10**6):
            writer.save([group(i)])
            print(i, flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 150:
                break
        process.send_signal(signal.SIGKILL)
        finished = 150 + len(process.stdout.read().splitlines())
    saved = compact(tmp_path)
    assert finished < len(saved.ids) <= finished + 2
    assert {g.problem_id for g in read_records(tmp_path, Group)} >= {str(i) for i in range(finished)}


def test_a_line_that_a_kill_cut_is_left_out(tmp_path):
    GroupWriter(tmp_path).save([group(1), group(2)])
    [journal] = tmp_path.glob(".journal-*")
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-1])
    assert read_journal(journal) == [group(1), group(2)], "only its newline is missing"
    for length in (len(whole) - 2, len(whole) - 40, len(whole) // 2 + 3):
        journal.write_bytes(whole[:length])
        assert read_journal(journal) == [group(1)]
    (tmp_path / ".part-1.parquet.abc").write_bytes(b"PAR1 half")
    assert compact(tmp_path).ids.tolist() == [as_number(group(1).group_id)]
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"]


def test_doubled_groups_are_single_again(tmp_path):
    for some in ([0, 1, 2], [2, 3], [3, 4, 0], [0]):
        write_part(tmp_path, to_table([group(i) for i in some], Group))
    assert len(compact(tmp_path).ids) == 5
    assert sorted(g.problem_id for g in read_records(tmp_path, Group)) == list("01234")


@pytest.mark.slow
def test_ids_are_a_set_in_eight_bytes_each():
    ids, numbers = Ids(), np.random.default_rng(0).integers(0, 2**64 - 1, 250_000, np.uint64).tolist()
    for number in numbers:
        ids.add(number)
    assert all(number in ids for number in numbers[::997])
    assert not any(number + 1 in ids for number in numbers[::997] if number + 1 not in set(numbers))
    assert ids._sorted.nbytes + 8 * len(ids._recent) <= 8 * 250_000


def test_what_may_still_be_written_to_is_read_and_left(tmp_path):
    """The actors of a driver that was just killed may not know it yet."""
    saver = GroupWriter(tmp_path)
    saver.save([group(1)])
    assert len(compact(tmp_path, quiet_seconds=60).ids) == 1
    saver.save([group(2)])  # into the same journal
    assert len(compact(tmp_path, quiet_seconds=60).ids) == 2
    assert len(compact(tmp_path).ids) == 2
    assert not list(tmp_path.glob(".journal-*"))
    assert len(list(read_records(tmp_path, Group))) == 2
