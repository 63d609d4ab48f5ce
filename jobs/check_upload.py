"""What `ray job submit --working-dir DIR` would upload, before it does: `python -m jobs.check_upload DIR`.

Ray uploads a folder whole, but for what .gitignore, .rayignore and its own list (.git, .venv) leave out, and refuses more
than 512 MiB at the end of the upload. Exit code 2 when it would be refused; the largest files are named either way.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from ray._private import ray_constants
from ray._private.runtime_env import packaging

LARGEST = 5


def uploaded(folder: Path) -> Counter[str]:
    """Bytes of every file that would travel, by its name in the folder. Ray's own walk decides (2.60)."""
    sizes = Counter[str]()

    def count(path: Path) -> None:
        if path.is_file():
            sizes[str(path.relative_to(folder))] = path.stat().st_size

    defaults = packaging._get_excludes(folder, ray_constants.RAY_RUNTIME_ENV_DEFAULT_EXCLUDES.split(","))
    packaging._dir_travel(folder, [defaults], count, include_gitignore=True, logger=packaging.logging.getLogger("quiet"))
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    folder = parser.parse_args().folder.resolve()
    sizes = uploaded(folder)
    total, most = sizes.total(), packaging.GCS_STORAGE_MAX_SIZE
    print(f"{folder}: {len(sizes)} files, {total / 2**20:.1f} MiB before they are packed (Ray takes {most / 2**20:.0f})")
    for name, size in sizes.most_common(LARGEST):
        print(f"{size / 2**20:8.1f} MiB  {name}")
    if total >= most:
        print("too much to upload: put data and models into a bucket and write their URLs, or list them in .rayignore",
              file=sys.stderr)  # fmt: skip
        raise SystemExit(2)


if __name__ == "__main__":
    main()
