"""A folder in a bucket does what one on disk does, also over a line that fails."""

import json
import os
import random
import subprocess
import sys
import threading
import time
import uuid

import psutil
import pyarrow as pa
import pytest
from bucket import credentials, environment, failing_line, options, s3_server

from ded_ray.errors import BadInput, Stopped
from ded_ray.files import lease as lease_module
from ded_ray.files.folders import dataset, filled, folder_at, is_local, on_this_machine, read_whole, remove, write_table
from ded_ray.files.lease import LEASE_FILE, lease
from ded_ray.files.lines import append_line, modified, read_lines
from ded_ray.files.parts import write_atomically, write_part
from ded_ray.files.store_errors import storage_errors
from ded_ray.files.user import read_rows
from ded_ray.generate.store import GROUPS_PER_PART, GroupWriter, compact, find_recent
from ded_ray.models import download
from ded_ray.models.download import S3_OPTIONS
from ded_ray.records import Group, Problem, Rollout, to_table
from jobs.bench.ten_million import REQUESTS_PER_PART


@pytest.fixture(scope="module")
def line():
    with s3_server() as url, failing_line(url) as (broken, done), environment(**credentials(broken)):
        yield done


@pytest.fixture(params=["here", "bucket"])
def folder(request, tmp_path):
    if request.param == "here":
        return tmp_path
    request.getfixturevalue("line")
    return folder_at(f"s3://bucket/{uuid.uuid4().hex}")


def group(number):
    problem = Problem(problem_id=str(number), prompt="p", answer="1")
    rollouts = [Rollout(index=0, completion="c", num_tokens=1, finish_reason="stop", seed=0)]
    return Group.of(problem, f"{number:016x}", "m", rollouts)


def test_texts_tables_and_lines_come_back(folder):
    write_atomically(folder / "a.json", "one")
    write_atomically(folder / "a.json", "two")
    assert (folder / "a.json").read_text() == "two"
    for number in range(3):
        append_line(folder / "lines.jsonl", {"number": number})
    assert [row["number"] for row in read_lines(folder / "lines.jsonl")] == [0, 1, 2]
    assert abs(modified(folder / "lines.jsonl") - time.time()) < 60
    with pytest.raises(FileNotFoundError):
        list(read_lines(folder / "none.jsonl"))
    (folder / "t").mkdir() if is_local(folder) else None
    write_table(pa.table({"a": [1]}), folder / "t" / "x.parquet")
    write_table(pa.table({"a": [2]}), folder / "t" / "y.parquet")
    assert sorted(dataset(folder / "t").to_table()["a"].to_pylist()) == [1, 2]
    remove(folder / "t")
    remove(folder / "t")
    assert not (folder / "t").exists()


def test_what_is_filled_is_there_and_comes_back_to_this_machine(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "cache"))
    with filled(folder / "made") as here:
        (here / "model").mkdir()
        (here / "model" / "weights").write_bytes(b"1")
    assert (folder / "made" / "model" / "weights").read_bytes() == b"1"
    assert (on_this_machine(folder / "made") / "model" / "weights").read_bytes() == b"1"
    (folder / "made" / "model" / "weights").write_bytes(b"2")
    assert (on_this_machine(folder / "made") / "model" / "weights").read_bytes() == b"2", "trained again"


def test_a_download_that_is_cut_off_is_never_taken_for_whole(line, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    monkeypatch.setattr(download, "PIECE_BYTES", 1 << 15)
    whole, folder = random.Random(0).randbytes(5 << 20), folder_at(f"s3://bucket/{uuid.uuid4().hex}")
    (folder / "deep" / "weights").write_bytes(whole)
    (folder / "empty").write_bytes(b"")
    before = line["cut_off"]
    copy = on_this_machine(folder)
    assert line["cut_off"] > before, line
    assert (copy / "deep" / "weights").read_bytes() == whole
    assert (copy / "empty").read_bytes() == b""


def test_what_changes_while_it_is_copied_is_not_kept(line, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    url = f"s3://bucket/{uuid.uuid4().hex}"
    (folder_at(url) / "a").write_bytes(b"four")
    store = folder_at(url).fs
    larger = {name: info | {"size": 9} for name, info in store.find(url, detail=True).items()}
    with monkeypatch.context() as listed:
        listed.setattr(store, "find", lambda *_, **__: larger)
        with pytest.raises(BadInput, match="4 bytes came instead of 9"), storage_errors(folder_at(url), BadInput):
            on_this_machine(folder_at(url))
    assert (on_this_machine(folder_at(url)) / "a").read_bytes() == b"four"


def test_groups_are_there_once_whatever_was_saved_twice(folder):
    writer = GroupWriter(folder)
    for number in range(GROUPS_PER_PART + 3):
        writer.save([group(number)])
    assert len(list(folder.glob("part-*.parquet"))) == 1
    assert find_recent(folder, {group(65).group_id}, since=0)[group(65).group_id] == group(65)
    GroupWriter(folder).save([group(65)])  # by an engine that was thought to be lost
    stored = compact(folder)
    assert len(stored.ids) == GROUPS_PER_PART + 3
    assert not list(folder.glob(".journal-*"))
    assert sorted(stored.read([group(1).group_id, group(66).group_id]), key=lambda g: g.group_id) == [group(1), group(66)]


def test_what_a_large_folder_costs_does_not_grow_with_its_answers(monkeypatch):
    def long(number):
        made = group(number)
        made.rollouts[0].completion = random.Random(number).randbytes(20_000).hex()
        return made

    with s3_server() as url, failing_line(url, busy=0, cut=0) as (line, done):
        for name, value in options(line).items():
            monkeypatch.setitem(S3_OPTIONS, name, value)
        folder = folder_at("s3://bucket/groups")
        for first in range(0, 40, 10):
            write_part(folder, to_table([long(first + i) for i in range(10)], Group))
        done.clear()
        assert len(compact(folder).ids) == 40
        assert done["passed"] <= 3 + 4 * REQUESTS_PER_PART, "three listings, and these of each part"
        assert done["bytes"] < 400_000, "1.7 MB is what they hold"
        done.clear()
        assert find_recent(folder, {group(35).group_id}, time.time() + 3600) == {}
        assert done["passed"] == 1, "one listing, however many parts there are"


def test_the_line_did_fail(line):
    assert line["busy"] and line["cut"] and line["cut_off"], line


def test_problems_are_read_from_a_bucket(line):
    url = f"s3://bucket/{uuid.uuid4().hex}"
    (folder_at(url) / "problems.jsonl").write_text(json.dumps({"prompt": "1+1?"}) + "\n")
    assert [row for _, row in read_rows(f"{url}/problems.jsonl")] == [{"prompt": "1+1?"}]
    assert [row for _, row in read_rows(url)] == [{"prompt": "1+1?"}]
    with pytest.raises(BadInput, match=r"none\.jsonl: no such file"):
        list(read_rows(f"{url}/none.jsonl"))


def test_a_second_driver_is_told_who_holds_the_run(folder):
    with lease(folder):
        held = json.loads((folder / LEASE_FILE).read_text())
        with pytest.raises(Stopped, match=f"process {os.getpid()} of .*, since .* is working on this run"), lease(folder):
            raise AssertionError
    assert not (folder / LEASE_FILE).exists()
    with lease(folder):
        assert json.loads((folder / LEASE_FILE).read_text())["token"] != held["token"]


def test_a_driver_that_was_killed_holds_nothing(folder):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it is over, and still in the list of processes
    with lease(folder):
        content = json.loads((folder / LEASE_FILE).read_text())
    theirs = content | {"token": "theirs", "pid": ended.pid, "started": psutil.Process(ended.pid).create_time()}
    for _ in range(2):
        write_atomically(folder / LEASE_FILE, json.dumps(theirs))
        with lease(folder):
            pass
        ended.wait()
    # the number of our own process, used by another one before
    write_atomically(folder / LEASE_FILE, json.dumps(content | {"token": "theirs", "started": 1.0}))
    with lease(folder):
        pass


def test_a_driver_of_another_machine_is_watched_before_it_is_taken_for_dead(folder, monkeypatch, capsys):
    monkeypatch.setattr(lease_module, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.2)
    write_atomically(folder / LEASE_FILE, json.dumps({"host": "elsewhere", "pid": 1, "since": "noon"}))
    with lease(folder):
        assert "process 1 of elsewhere, since noon worked on this run" in capsys.readouterr().err


def test_a_driver_that_lost_its_run_ends(folder, monkeypatch):
    import signal

    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.1)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(Stopped, match="process 7 of elsewhere, since noon has taken this run over"), lease(folder):
            theirs = {"token": "theirs", "host": "elsewhere", "pid": 7, "since": "noon"}
            write_atomically(folder / LEASE_FILE, json.dumps(theirs))
            time.sleep(30)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert json.loads((folder / LEASE_FILE).read_text())["pid"] == 7, "and leaves it to them"


def test_a_store_that_is_away_for_a_moment_costs_no_lease(line, monkeypatch):
    from botocore.exceptions import EndpointConnectionError

    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.1)
    really, failed = lease_module._read, threading.Event()

    def away_once(path):
        if threading.current_thread() is not threading.main_thread() and not failed.is_set():
            failed.set()
            raise EndpointConnectionError(endpoint_url="s3://bucket")
        return really(path)

    folder = folder_at(f"s3://bucket/{uuid.uuid4().hex}")
    with lease(folder):
        monkeypatch.setattr(lease_module, "_read", away_once)
        before = really(folder / LEASE_FILE)["renewed"]
        assert failed.wait(30)
        for _ in range(100):
            if really(folder / LEASE_FILE)["renewed"] > before:
                break
            time.sleep(0.1)
        assert really(folder / LEASE_FILE)["renewed"] > before, "it was renewed again"


def test_a_file_is_read_while_another_process_replaces_it(folder):
    path, over = folder / "a.json", threading.Event()
    write_atomically(path, "0")

    def replace():
        number = 0
        while not over.is_set():
            write_atomically(path, str(number := number + 1))

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        seen = [int(read_whole(path)) for _ in range(50)]
    finally:
        over.set()
        writer.join()
    assert seen == sorted(seen)
    with pytest.raises(FileNotFoundError):
        read_whole(folder / "none.json")


def test_a_lease_that_somebody_tidied_away_is_written_again(folder, monkeypatch):
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.1)
    with lease(folder):
        (folder / LEASE_FILE).unlink()
        for _ in range(100):
            if (folder / LEASE_FILE).exists():
                break
            time.sleep(0.1)
        assert json.loads((folder / LEASE_FILE).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("variables", "url", "said"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://bucket/x", "does not answer"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}, "s3://bucket/x",
         "no credentials"),
        ({}, "s3://nowhere/x", "make the bucket"),
    ],
)  # fmt: skip
def test_a_store_that_cannot_be_used_is_one_line(line, variables, url, said, monkeypatch):
    monkeypatch.setitem(S3_OPTIONS, "config_kwargs", {"retries": {"max_attempts": 1}})
    with environment(**variables), pytest.raises(BadInput, match=said), storage_errors(folder_at(url), BadInput):
        store = folder_at(url)
        store.fs.clear_instance_cache()
        write_atomically(folder_at(url) / "a", "b")


def test_a_full_disk_is_one_line(tmp_path):
    import errno

    with pytest.raises(Stopped, match="the disk is full"), storage_errors(tmp_path, Stopped):
        raise RuntimeError("from a worker") from OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ZeroDivisionError), storage_errors(tmp_path, Stopped):
        raise ZeroDivisionError


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written to"), storage_errors(tmp_path, BadInput):
        (tmp_path / "file" / "run").mkdir(parents=True)


def test_an_unknown_store_and_a_library_that_is_not_here():
    with pytest.raises(BadInput, match="use a path, s3:// or gs://"):
        folder_at("gopher://a/b")
