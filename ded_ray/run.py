"""A run's folder: one folder per stage with Parquet and a manifest, and a ledger of what went in, stayed and was dropped.

A stage is done when its manifest says so and still fits: same part of the recipe, same inputs. Every making of a stage
draws a new token that its dependants remember; so a stage that was deleted or changed is made again together with
what depends on it, and nothing else.
"""

import hashlib
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from ded_ray.errors import BadInput, Stopped
from ded_ray.files.folders import make, read_whole, remove
from ded_ray.files.lease import LEASE_FILE, lease
from ded_ray.files.parts import write_atomically
from ded_ray.files.store_errors import storage_errors
from ded_ray.recipe import Recipe
from ded_ray.recipe.load import load_recipe
from ded_ray.records import Record

CLUSTER_FILE = "cluster.jsonl"
"""What the cluster had while each step ran, see `runtime/watch.py`."""

MANIFEST = "_manifest.json"
"""The underscore keeps it out of what Arrow and Ray read as the folder's data."""


class Stage:
    """One folder of a run. `done` says whether it can be used as it is."""

    def __init__(self, run: "Run", name: str, parts: Iterable[BaseModel | object], inputs: Iterable["Stage"]) -> None:
        self.run, self.name, self.folder = run, name, run.folder / name
        inputs = list(inputs)
        self.fingerprint = _fingerprint(name, parts, [stage.token for stage in inputs])
        manifest = self.manifest()
        self.done = manifest.get("fingerprint") == self.fingerprint
        self.token: str = manifest["token"] if self.done else uuid.uuid4().hex
        self._started = time.monotonic()

    def manifest(self) -> dict[str, Any]:
        try:
            return json.loads((self.folder / MANIFEST).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def reopen(self) -> None:
        """It is to be made again, with all that depends on it."""
        self.done, self.token = False, uuid.uuid4().hex

    def begin(self, *, keep: bool = False) -> Path:
        """Make room for a new making. `keep` leaves what an earlier one finished (paid rollouts, checkpoints)."""
        if not keep:
            remove(self.folder)
        make(self.folder)
        (self.folder / MANIFEST).unlink(missing_ok=True)
        self._started = time.monotonic()
        return self.folder

    def seal(self, rows: str, rows_in: int, dropped: Counter[str], rows_kept: int, **more: Any) -> None:
        """Write the ledger's line, then the manifest: from now on the stage is done.

        `rows` names the unit (problems, groups, rollouts, examples, samples). Raises RuntimeError when rows in are
        not rows kept plus rows dropped: then rows were lost, and the stage is not done.
        """
        if rows_in != rows_kept + dropped.total():
            raise RuntimeError(f"stage {self.name} lost rows: {rows_in} in, {rows_kept} kept, {dict(dropped)} dropped")
        seconds = round(time.monotonic() - self._started, 2)
        line = {"stage": self.name, "unit": rows, "rows_in": rows_in, "rows_kept": rows_kept,
                "dropped": dict(sorted(dropped.items())), "seconds": seconds, **more}  # fmt: skip
        self.run.write_ledger_line(line)
        manifest = {"stage": self.name, "fingerprint": self.fingerprint, "token": self.token}
        write_atomically(self.folder / MANIFEST, json.dumps(manifest))
        self.done = True
        self.run.num_stages_made += 1


def _fingerprint(name: str, parts: Iterable[BaseModel | object], tokens: Iterable[str]) -> str:
    digest = hashlib.sha256(name.encode())
    for part in parts:
        digest.update(b"\x1f")
        for text in _texts(part):
            digest.update(text.encode())
    for token in tokens:
        digest.update(f"\x1f{token}".encode())
    return digest.hexdigest()[:16]


def _texts(part: BaseModel | object) -> Iterator[str]:
    """A part as JSON; many records one by one, because millions at once would take kilobytes each."""
    if isinstance(part, list) and part and isinstance(part[0], Record):
        yield "["
        for i, record in enumerate(part):
            yield (", " if i else "") + json.dumps(record.to_row())
        yield "]"
    else:
        yield part.model_dump_json() if isinstance(part, BaseModel) else json.dumps(part)


class Run:
    """A run's folder, its recipe, and its ledger."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder.absolute(), recipe
        self.num_stages_made = 0

    @classmethod
    def create(cls, folder: Path, recipe: Recipe) -> "Run":
        """Open the folder for this recipe, making it if needed; refuse a folder that holds something else."""
        _refuse_what_is_no_run(folder)
        run = cls(make(folder), recipe)
        write_atomically(folder / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
        return run

    @classmethod
    @contextmanager
    def held(cls, folder: Path, recipe: Recipe) -> Iterator["Run"]:
        """The same for the one driver that works on it while the block runs. Raises Stopped when another one does, or when
        the storage gives out; BadInput when it cannot be reached at all."""
        with ExitStack() as holding:
            with storage_errors(folder, BadInput):
                _refuse_what_is_no_run(folder)
                holding.enter_context(lease(make(folder)))
                run = cls.create(folder, recipe)
            with storage_errors(folder, Stopped):
                yield run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """An existing run, with the recipe that made it."""
        try:
            with storage_errors(folder, BadInput):
                return cls(folder, load_recipe(folder / "recipe.yaml"))
        except BadInput as error:
            raise BadInput(f"{folder}: not a run of this version ({error}); name the --out of an earlier run") from error

    def stage(self, name: str, parts: Iterable[object], inputs: Iterable[Stage] = ()) -> Stage:
        """The stage `name`, made from these parts of the recipe and these earlier stages."""
        return Stage(self, name, parts, inputs)

    def finished_stage(self, name: str) -> Stage:
        """A stage as it stands, whatever recipe made it. Raises BadInput when it is not there."""
        stage = Stage(self, name, [], [])
        manifest = stage.manifest()
        if not manifest:
            raise BadInput(f"{self.folder}: this run has no finished {name} yet; finish it with ded-ray run")
        stage.done, stage.token, stage.fingerprint = True, manifest["token"], manifest["fingerprint"]
        return stage

    def ledger(self) -> list[dict[str, Any]]:
        """One object per stage, in the order in which they were made."""
        path = self.folder / "ledger.jsonl"
        return [json.loads(line) for line in read_whole(path).splitlines()] if path.exists() else []

    def reopen(self, stage: str) -> None:
        """Make a stage again the next time, whatever recipe made it. What its folder keeps for that stays."""
        (self.folder / stage / MANIFEST).unlink(missing_ok=True)

    def forget(self, stage: str) -> None:
        """Take a stage that this recipe does not have out of the books."""
        if any(line["stage"] == stage for line in self.ledger()):
            self._write_ledger([line for line in self.ledger() if line["stage"] != stage])
        remove(self.folder / stage)

    def write_ledger_line(self, line: dict[str, Any]) -> None:
        self._write_ledger([old for old in self.ledger() if old["stage"] != line["stage"]] + [line])

    def _write_ledger(self, lines: list[dict[str, Any]]) -> None:
        write_atomically(self.folder / "ledger.jsonl", "".join(json.dumps(entry) + "\n" for entry in lines))

    @property
    def curated(self) -> str:
        """The stage that says what is trained on. (A folder of the other name may be left from an earlier recipe.)"""
        return "mixed" if self.recipe.curate.mix else "curated"

    def scores(self) -> list[dict[str, Any]]:
        path = self.folder / "scores.json"
        return json.loads(read_whole(path)) if path.exists() else []


class NotDone(Exception):
    """The first stage of a run that is only looked at that would be made."""


class LookedAt(Run):
    """A run's folder that is only looked at, by the very code that makes it: `fitting` are the names of the stages that
    this recipe could use as they are; where the first other one would begin, NotDone is raised."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        super().__init__(folder, recipe)
        self.fitting: list[Stage] = []

    def stage(self, name: str, parts: Iterable[object], inputs: Iterable[Stage] = ()) -> Stage:
        stage = super().stage(name, parts, inputs)
        if not stage.done:
            raise NotDone(name)
        self.fitting.append(stage)
        return stage

    def forget(self, stage: str) -> None:
        """Nothing is written, and so nothing is deleted."""


def _refuse_what_is_no_run(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: --out must name a folder, this is a file")
    foreign = folder.is_dir() and any(not path.name.startswith((".recipe", LEASE_FILE)) for path in folder.iterdir())
    if foreign and not (folder / "recipe.yaml").exists():
        raise BadInput(f"{folder}: --out is a folder that is not empty and not a run; name another one")
