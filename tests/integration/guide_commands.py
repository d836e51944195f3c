"""The command lines of the guide, as it has them, and how a test types one: by a real shell, in a checkout of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).parents[2]

GUIDE: dict[str, str] = {
    # the machine and the installation
    "nvcc": "nvcc --version",
    "nvidia_smi": "nvidia-smi",
    "venv": "uv venv openr1 --python 3.11",
    "activate": "source openr1/bin/activate",
    "install_vllm": "uv pip install vllm==0.8.5.post1",
    "install_flash_attn": "uv pip install setuptools && uv pip install flash-attn --no-build-isolation",
    "install_dev": 'GIT_LFS_SKIP_SMUDGE=1 uv pip install -e ".[dev]"',
    "login_hub": "huggingface-cli login",
    "login_wandb": "wandb login",
    "git_lfs": "git-lfs --version",
    "torch": 'python -c "import torch; print(torch.cuda.is_available())"',
    # supervised fine-tuning
    "sft_small": r"""accelerate launch --config_file=recipes/accelerate_configs/zero3.yaml \
    src/open_r1/sft.py \
    --model_name_or_path Qwen/Qwen2.5-1.5B \
    --dataset_name open-r1/Mixture-of-Thoughts \
    --dataset_config math \
    --eos_token '<|im_end|>' \
    --learning_rate 4.0e-5 \
    --num_train_epochs 3 \
    --max_seq_length 16384 \
    --per_device_train_batch_size 4 \
    --gradient_checkpointing \
    --bf16 \
    --use_liger_kernel \
    --output_dir data/OpenR1-Distill-1.5B""",
    "sft_7b": r"""accelerate launch --config_file=recipes/accelerate_configs/zero3.yaml \
    src/open_r1/sft.py \
    --config recipes/OpenR1-Distill-7B/sft/config_distill.yaml""",
    "sft_own_data": r"""accelerate launch --config_file=recipes/accelerate_configs/zero3.yaml \
    src/open_r1/sft.py \
    --model_name_or_path your-base-model \
    --dataset_name your-username/your-dataset \
    --dataset_config your_config \
    --chat_template "$(cat your_chat_template.jinja)" \
    --eos_token '<|your_eos|>' \
    --output_dir data/your-custom-model""",
    # GRPO
    "vllm_serve_rollouts": "CUDA_VISIBLE_DEVICES=0 trl vllm-serve --model Qwen/Qwen2.5-1.5B-Instruct",
    "grpo": r"""CUDA_VISIBLE_DEVICES=1,2,3,4,5,6,7 ACCELERATE_LOG_LEVEL=info \
    accelerate launch --config_file recipes/accelerate_configs/zero2.yaml --num_processes=7 \
    src/open_r1/grpo.py --config recipes/Qwen2.5-1.5B-Instruct/grpo/config_demo.yaml""",
    "grpo_nodes": r"""sbatch --nodes=2 slurm/train.slurm \
    --model Qwen2.5-1.5B-Instruct \
    --task grpo \
    --config demo \
    --accelerator zero2 \
    --dp 8 --tp 1""",
    # programs
    "install_code": "uv pip install -e '.[code]'",
    "key_e2b": 'echo "E2B_API_KEY=your_e2b_key" > .env',
    "key_morph": 'echo "MORPH_API_KEY=your_morph_key" >> .env',
    "code_e2b": r"""accelerate launch --config_file recipes/accelerate_configs/zero2.yaml \
    src/open_r1/grpo.py \
    --config recipes/Qwen2.5-1.5B-Instruct/grpo/config_demo_code.yaml \
    --code_provider e2b""",
    "code_morph": r"""accelerate launch --config_file recipes/accelerate_configs/zero2.yaml \
    src/open_r1/grpo.py \
    --config recipes/Qwen2.5-1.5B-Instruct/grpo/config_demo_code.yaml \
    --code_provider morph""",
    # several GPUs
    "data_parallel": r"""export CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7
accelerate launch --config_file recipes/accelerate_configs/ddp.yaml""",
    "tensor_parallel": 'NUM_GPUS=8\nMODEL_ARGS="tensor_parallel_size=$NUM_GPUS"',
    # evaluation
    "lighteval_aime24": r"""MODEL=your-model-path
lighteval vllm "model_name=$MODEL,dtype=bfloat16" "lighteval|aime24|0|0" \
    --use-chat-template \
    --output-dir data/evals/$MODEL""",
    "lighteval_math_500": r"""lighteval vllm "model_name=$MODEL,dtype=bfloat16" "lighteval|math_500|0|0" \
    --use-chat-template \
    --output-dir data/evals/$MODEL""",
    "lighteval_gpqa": r"""lighteval vllm "model_name=$MODEL,dtype=bfloat16" "lighteval|gpqa:diamond|0|0" \
    --use-chat-template \
    --output-dir data/evals/$MODEL""",
    "lighteval_lcb": r"""lighteval vllm "model_name=$MODEL,dtype=bfloat16" "extended|lcb:codegeneration|0|0" \
    --use-chat-template \
    --output-dir data/evals/$MODEL""",
    "run_benchmarks": r"""python scripts/run_benchmarks.py \
    --model-id your-model-id \
    --benchmarks aime24,math_500,gpqa,lcb""",
    "evaluate_data_parallel": (
        'NUM_GPUS=8\nMODEL_ARGS="model_name=$MODEL,dtype=bfloat16,data_parallel_size=$NUM_GPUS"'
    ),
    "evaluate_tensor_parallel": 'MODEL_ARGS="model_name=$MODEL,dtype=bfloat16,tensor_parallel_size=$NUM_GPUS"',
    # the model in use
    "vllm_serve": r"""vllm serve your-model-path \
    --host 0.0.0.0 \
    --port 8000 \
    --tensor-parallel-size 4 \
    --gpu-memory-utilization 0.8""",
    "client": """import openai

client = openai.OpenAI(
    base_url="http://localhost:8000/v1",
    api_key="token-abc123",
)

completion = client.chat.completions.create(
    model="your-model-path",
    messages=[
        {"role": "user", "content": "Solve: 2x + 3 = 11"}
    ],
    temperature=0.6,
    max_tokens=2048
)

print(completion.choices[0].message.content)""",
    "push": """trainer.push_to_hub(
    repo_id="your-username/your-model-name",
    tags=["open-r1", "reasoning"],
    model_description="R1-style reasoning model"
)""",
}
"""Name -> the line, or the lines that belong together."""


@dataclass(frozen=True)
class Typed:
    """What a shell made of a line: the program's words and its environment's GPUs."""

    words: list[str]
    gpus: str

    @property
    def script(self) -> str:
        """The training script of an `accelerate launch`."""
        return next(word for word in self.words if word.endswith(".py"))

    @property
    def settings(self) -> list[str]:
        """The words after the script."""
        return self.words[self.words.index(self.script) + 1 :]

    @property
    def launcher(self) -> list[str]:
        """accelerate's own words."""
        return self.words[: self.words.index(self.script)]


def make_checkout(folder: Path) -> Path:
    """A folder that looks like the checkout to a command, and in which it may write."""
    folder.mkdir()
    for name in ("recipes", "src", "scripts", "slurm", "Makefile", "pyproject.toml"):
        (folder / name).symlink_to(REPO / name)
    return folder


def type_line(line: str, checkout: Path, *programs: str) -> Typed:
    """Run a line by bash, with programs in place of these that only note how they were called."""
    called, stubs = checkout / ".called", checkout / ".stubs"
    stubs.mkdir(exist_ok=True)
    for name in programs:
        stub = stubs / name
        stub.write_text(f'#!/bin/sh\nprintf "%s\\0" "$CUDA_VISIBLE_DEVICES" "$@" > "{called}"\n')
        stub.chmod(0o755)
    environment = dict(os.environ) | {"PATH": f"{stubs}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    subprocess.run(["bash", "-euc", line], cwd=checkout, env=environment, check=True, timeout=60)
    gpus, *words = called.read_text().split("\0")[:-1]
    return Typed(words, gpus)
