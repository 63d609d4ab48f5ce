import gzip
import json
import sys
import types

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ded_ray.errors import BadInput
from ded_ray.files.json_rows import MAX_DEPTH
from ded_ray.files.user import read_rows
from ded_ray.recipe import FileProblems
from ded_ray.sources.problems import read_problems


def bad(path, **config):
    with pytest.raises(BadInput) as error:
        read_problems(FileProblems(path=str(path), **config))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


def test_missing_empty_and_unknown_files(tmp_path):
    assert "no such file" in bad(tmp_path / "p.jsonl")
    (tmp_path / "p.jsonl").write_text("")
    assert "empty" in bad(tmp_path / "p.jsonl")
    (tmp_path / "p.csv").write_text("a,b")
    assert "neither .jsonl, .ndjson or .json (these also .gz or .zst) or .parquet" in bad(tmp_path / "p.csv")


def test_half_written_files(tmp_path):
    pq.write_table(pa.table({"prompt": ["a"] * 1000, "answer": ["b"] * 1000}), tmp_path / "whole.parquet")
    (tmp_path / "half.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-20])
    assert "was its writing cut off?" in bad(tmp_path / "half.parquet")
    (tmp_path / "half.jsonl").write_text('{"prompt": "a", "answer": "b"}\n{"prompt": "c", "ans')
    assert "line 2: not JSON" in bad(tmp_path / "half.jsonl")


def test_missing_columns_name_those_that_are_there(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    assert "row 1: no column `prompt`; set problems.prompt_column to one of: question, answer" in bad(tmp_path / "p.jsonl")
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "answer": null}\n')
    assert "no answer in `answer`; fill it in, or set problems.skip_missing: true" in bad(tmp_path / "p.jsonl")
    (tmp_path / "p.jsonl").write_text('{"prompt": "  ", "answer": "1"}\n')
    assert "an empty text in column `prompt`" in bad(tmp_path / "p.jsonl")


def test_duplicate_ids(tmp_path):
    rows = '{"problem_id": "x", "prompt": "a", "answer": "1"}\n{"problem_id": "x", "prompt": "b", "answer": "1"}\n'
    (tmp_path / "p.jsonl").write_text(rows)
    assert "row 2: duplicate problem id 'x'" in bad(tmp_path / "p.jsonl")
    assert "another prompt or answer" in bad(tmp_path / "p.jsonl", one_row_per="rollout")


def test_a_file_of_rollouts_folds_into_problems(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"problem_id": "x", "prompt": "a", "answer": 1}\n' * 3)
    [problem] = read_problems(FileProblems(path=str(tmp_path / "p.jsonl"), one_row_per="rollout"))
    assert (problem.problem_id, problem.answer) == ("x", "1")


def test_answers_after_a_mark_and_limits(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "answer": "so\\n#### 18"}\n{"prompt": "b", "answer": "no mark"}\n')
    [problem] = read_problems(FileProblems(path=str(tmp_path / "p.jsonl"), answer_after="####", limit=1))
    assert problem.answer == "18"
    assert "row 2: no '####'" in bad(tmp_path / "p.jsonl", answer_after="####")


def test_parquet_and_jsonl_give_the_same_rows(tmp_path):
    rows = [{"prompt": f"p{i}", "answer": str(i), "choices": ["x", "y"]} for i in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    assert [row for _, row in read_rows(tmp_path / "p.parquet")] == rows


ROWS = [{"prompt": f"p{i}", "answer": str(i)} for i in range(3)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def rows_of(path, columns=None):
    return [row for _, row in read_rows(path, columns)]


def zstd(text: str) -> bytes:
    return pa.Codec("zstd").compress(text.encode(), asbytes=True)


@pytest.mark.parametrize("name", ["a.jsonl", "a.JSONL", "a.ndjson", "a.json"])
def test_json_lines_of_any_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n\n").encode())
    assert rows_of(tmp_path / name) == ROWS
    (tmp_path / name).write_text(json.dumps(ROWS, indent=1))
    assert rows_of(tmp_path / name) == ROWS
    (tmp_path / (name + ".GZ")).write_bytes(gzip.compress(LINES.encode()[:20]) + gzip.compress(LINES.encode()[20:]))
    assert rows_of(tmp_path / (name + ".GZ")) == ROWS
    (tmp_path / (name + ".zst")).write_bytes(zstd(LINES))
    assert rows_of(tmp_path / (name + ".zst")) == ROWS


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"prompt": "caf\u00e9"}\n'.encode("latin1"), "line 1: not UTF-8 (byte 0xe9 at column 16); convert the file"),
        (LINES.encode("utf-16"), "UTF-16, not UTF-8; convert it: iconv"),
        (LINES.encode("utf-16-le"), "UTF-16, not UTF-8; convert it: iconv"),
        (json.dumps(ROWS[0], indent=1).encode(), "line 1: not JSON (Expecting property name enclosed in double quotes at"
         " column 3); the object goes on below; write one object a line (jq -c .)"),
        (b'{"a": "x\ty"}\n', "a tab or another control character stands in a text as it is"),
        (b'{"a": 1}\n{"a": "x', "line 2: not JSON (Unterminated string starting at at column 7); was the file cut off?"),
        (b'{"a": 1}\n{"a": [1', "was the file cut off?"),
        (b'{"a": "\xc3', "was the file cut off?"),
        (b'{"a": "x\n"}\n', "the object goes on below"),
        (b"prompt,answer\na,b\n", "it begins with 'prompt,answer'; write one object a line"),
        (b"3\n", "a row must be a JSON object, this is a int"),
        (b"[1, 2]", "item 1: a row must be a JSON object"),
        (b'[{"a": 1}', "was the file cut off?"),
        (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", f"nested more than {MAX_DEPTH} levels deep"),
        (b'{"a": ' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}", f"nested more than {MAX_DEPTH} levels deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number of too many digits"),
    ],
)  # fmt: skip
def test_each_fault_of_a_json_file_has_its_own_remedy(tmp_path, content, problem):
    path = tmp_path / "p.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        rows_of(path)
    assert problem in str(error.value)
    assert ("cut off" in str(error.value)) == ("cut off" in problem)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", [gzip.compress(LINES.encode())[:-9], b"\x1f\x8bjunk", b"junk", zstd(LINES)[:-4], b"\x28\xb5\x2f\xfdjunk"]
)
@pytest.mark.parametrize("name", ["p.jsonl.gz", "p.jsonl.zst"])
def test_broken_compression_is_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match="cannot be read"):
        rows_of(tmp_path / name)


def test_shards_patterns_and_folders(tmp_path):
    for number, row in enumerate(ROWS):
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / f"train-0000{number}-of-00003.parquet")
    (tmp_path / "dataset_infos.json").write_text("{}")
    (tmp_path / "README.md").write_text("")
    (tmp_path / "_SUCCESS").write_text("")
    assert rows_of(tmp_path) == rows_of(tmp_path / "train-*.parquet") == ROWS
    assert [where for where, _ in read_rows(tmp_path)][2] == f"{tmp_path}/train-00002-of-00003.parquet, row 1"
    with pytest.raises(BadInput, match=r"[*]\.csv: no [.]jsonl"):
        rows_of(tmp_path / "*.csv")
    (tmp_path / "train-00002-of-00003.parquet").rename(tmp_path / "test-00000-of-00001.parquet")
    with pytest.raises(BadInput, match=r"several sets \(test, train\); name one, as in"):
        rows_of(tmp_path)
    (tmp_path / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(BadInput, match="2 of 3 shards of 'train'"):
        rows_of(tmp_path)
    (tmp_path / "train.jsonl").write_text(LINES)
    with pytest.raises(BadInput, match="files of JSON and Parquet together"):
        rows_of(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"no \.jsonl"):
        rows_of(tmp_path / "empty")


def test_names_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadInput, match=r"for a data set of the hub: pip install 'ded-ray\[hub\]'"):
        rows_of("someone/some-set")
    with pytest.raises(BadInput, match=r"no such file$"):
        rows_of("data/rows.jsonl")
    path = tmp_path / "cached.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, pa.Table.from_pylist(ROWS).schema) as stream:
        stream.write_table(pa.Table.from_pylist(ROWS))

    def load_dataset(*names, split):
        if names[0] != "someone/some-set":
            raise ConnectionError("Couldn't reach\nthe hub")
        assert (names[1:], split) in {((), "train"), ((), "test"), (("main",), "test")}
        return types.SimpleNamespace(cache_files=[{"filename": str(path)}])

    errors = types.SimpleNamespace(DatasetsError=RuntimeError)
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset, exceptions=errors))
    for name in ("someone/some-set", "someone/some-set:test", "someone/some-set:main:test"):
        assert rows_of(name, ["prompt", "answer"]) == ROWS
    with pytest.raises(BadInput, match=r"not to be had from the hub \(Couldn't reach the hub\); write OWNER/NAME:SPLIT"):
        rows_of("someone/other")


def test_only_the_columns_that_are_asked_for_are_read(tmp_path):
    bad_text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    table = pa.table({"prompt": ["a"], "junk": bad_text, "meta": [{"answer": "b", "x": 1}]})
    pq.write_table(table, tmp_path / "p.parquet")
    assert rows_of(tmp_path / "p.parquet", ["prompt", "meta.answer"]) == [
        {"prompt": "a", "junk": None, "meta": {"answer": "b", "x": 1}}
    ]
    with pytest.raises(BadInput, match="holds what cannot be read here"):
        rows_of(tmp_path / "p.parquet")
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["prompt", "prompt"]), tmp_path / "p.parquet")
    with pytest.raises(BadInput, match="two columns are named `prompt`"):
        rows_of(tmp_path / "p.parquet")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=60) | st.text('{}[]":,\\ntue19.eE- ', max_size=60).map(str.encode),
    st.sampled_from([".jsonl", ".parquet", ".json.gz", ".json.zst", ".arrow"]),
)
def test_any_bytes_at_all_are_rows_or_one_line(tmp_path, content, suffix):
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes(content)
    try:
        rows_of(path)
    except BadInput as error:
        assert "\n" not in str(error)


CELLS = st.sampled_from([
    None, True, 3, 0.5, float("nan"), "x", b"2", b"\xff", ["x"], [None], {"role": "assistant", "content": "x"}, [[1]],
    [{"role": "user", "content": "x"}], [("k", 1)],
])  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(CELLS, min_size=2, max_size=2), st.sampled_from([None, pa.binary(), pa.large_string(), pa.timestamp("ns")]))
def test_any_column_of_parquet_is_problems_or_one_line(tmp_path, cells, kind):
    path = tmp_path / "fuzz.parquet"
    try:
        column = pa.array(cells, kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return
    for name in ("prompt", "answer", "problem_id"):
        pq.write_table(pa.table({"prompt": ["a", "b"], "answer": ["1", "2"]} | {name: column}), path)
        try:
            problems = read_problems(FileProblems(path=str(path)))
        except BadInput as error:
            assert "\n" not in str(error)
        else:
            texts = [text for problem in problems for text in (problem.prompt, problem.answer, problem.problem_id)]
            assert all(isinstance(text, str) and "{'" not in text and "b'" not in text for text in texts)


def test_missing_answers_are_an_error_or_counted(tmp_path):
    rows = [{"prompt": f"p{i}", "answer": answer} for i, answer in enumerate(["1", None, float("nan"), " ", []])]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "row 2: there is no answer in `answer`" in bad(tmp_path / "p.jsonl")
    problems = read_problems(FileProblems(path=str(tmp_path / "p.jsonl"), skip_missing=True))
    assert [problem.dropped_because for problem in problems] == [None] + ["missing_answer"] * 4
