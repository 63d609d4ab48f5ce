"""Which name means which model: a hub name, a folder in Hugging Face format, or a tiny model that comes with the package."""

import re
from pathlib import Path

from ded_ray.models.download import local_copy

TINY_MODELS_FOLDER = Path(__file__).parent.parent / "tiny" / "weights"


def model_path(name: str) -> str:
    """A recipe's model name as transformers wants it: `tiny/NAME` is a shipped folder, a URL is copied to this machine once,
    anything else stays as it is."""
    if "://" in name:
        return str(local_copy(name))
    return str(TINY_MODELS_FOLDER / name.removeprefix("tiny/")) if name.startswith("tiny/") else name


HUB_DATA = re.compile(
    r"(?!.*\.(?:jsonl?|ndjson|parquet|arrow|csv|tsv|txt|gz|zst)$)[\w-][\w.-]*/[\w-][\w.-]*(?::[\w.-]+){0,2}",
    re.ASCII | re.IGNORECASE,
)
"""OWNER/NAME, OWNER/NAME:SPLIT or OWNER/NAME:CONFIG:SPLIT: what a data set of the Hugging Face hub is called."""
