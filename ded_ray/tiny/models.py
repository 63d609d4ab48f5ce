"""Where the shipped tiny models are, and which name means which folder."""

from pathlib import Path

MODELS_FOLDER = Path(__file__).parent / "weights"
TEACHERS = ("careful", "terse", "rambling")
STUDENT = "student"


def model_path(name: str) -> str:
    """A recipe's model name as transformers wants it: `tiny/NAME` is a shipped folder, anything else stays as it is."""
    return str(MODELS_FOLDER / name.removeprefix("tiny/")) if name.startswith("tiny/") else name
