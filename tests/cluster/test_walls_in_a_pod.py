"""Which walls the code verifier finds in a pod: none in one that is locked, its own with the overlay code-walls."""

import ctypes.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

AS_POD = Path(__file__).parent / "as_pod.py"
PROFILE = PROJECT / "cluster" / "kuberay" / "overlays" / "code-walls" / "walls.json"
ASK = """
from ded_ray.recipe import Code
from ded_ray.verify.code.sandbox import find_walls
for isolation in ("namespaces", "limits"):
    walls = find_walls(Code(isolation=isolation))
    print(isolation, walls.tier if walls else None, flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become less")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare, of util-linux")
@pytest.mark.skipif(ctypes.util.find_library("seccomp") is None, reason="needs libseccomp")
@pytest.mark.parametrize(
    ("profile", "found"),
    [
        ("RuntimeDefault", ["namespaces None", "limits limits"]),
        (str(PROFILE), ["namespaces namespaces", "limits namespaces"]),
    ],
    ids=["locked", "code-walls"],
)
def test_walls_in_a_pod(profile: str, found: list[str]) -> None:
    command = ["unshare", "--mount", sys.executable, AS_POD, profile, sys.executable, "-c", ASK]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)}
    asked = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=environment)
    assert asked.stdout.splitlines() == found, asked.stderr[-2000:]
