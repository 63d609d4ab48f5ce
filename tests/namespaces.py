"""What a test that plays several machines must be allowed to do, and how it finds out."""

import shutil
import subprocess
from pathlib import Path

PRIVATE = Path("/tmp/ray")  # noqa: S108 (where Ray has its sessions; mounted anew for each machine that is played)
MOUNT = ["mount", "-t", "tmpfs", "tmpfs", str(PRIVATE)]


def may(*command: str) -> bool:
    """Whether this command is here, and succeeds."""
    if shutil.which(command[0]) is None:
        return False
    PRIVATE.mkdir(exist_ok=True)
    return subprocess.run(command, capture_output=True).returncode == 0
