"""GRPO's rollouts by vLLM on a CPU, asked for by TRL's keys: `use_vllm: true`, `vllm_mode: colocate|server`.

TRL 1.16 supports vLLM on GPUs. On a CPU its engine starts in another dtype than the trainer's, its weight sync fails in
colocate mode (the layers have packed their weights), and its server mode needs NCCL. This file replaces these three
steps; sampling, importance sampling and everything else is TRL's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from trl.generation import vllm_generation
from trl.generation.vllm_client import VLLMClient
from trl.trainer import grpo_trainer

from open_r1.errors import ConfigError, RunError
from open_r1.generation.vllm_on_cpu import reload_weights
from open_r1.training.merged_weights import MergedGeneration

SHARED_MEMORY = Path("/dev/shm")
SYNC_LIMIT_S = 600.0


class CPUGeneration(MergedGeneration):
    """With weights that reach an engine on a CPU."""

    def _init_vllm(self) -> None:
        if self.mode != "server":
            super()._init_vllm()
            return
        if self.accelerator.is_main_process:
            address = self.server_base_url or f"http://{self.server_host}:{self.server_port}"
            self.vllm_client = VLLMClient(base_url=address, connection_timeout=self.server_timeout)
        self.accelerator.wait_for_everyone()

    def sync_weights(self) -> None:
        """Give the engine the model's weights, adapters merged; TRL calls it before it samples with a new policy."""
        weights = ((name, weight.detach().clone()) for name, weight in self._iter_named_params())
        if self.mode == "colocate":
            reload_weights(self.llm.llm_engine.model_executor.driver_worker.model_runner, weights)
            self.llm.reset_prefix_cache()
        elif self.accelerator.is_main_process:
            self._send(dict(weights))
            self.vllm_client.reset_prefix_cache()
        else:
            for _ in weights:  # take part in gathering them
                pass
        self.accelerator.wait_for_everyone()

    def _send(self, weights: dict[str, torch.Tensor]) -> None:
        """Through a file in memory that the server, on this machine, reads."""
        folder = tempfile.mkdtemp(prefix="open-r1-weights-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)
        try:
            file = str(Path(folder) / "model.safetensors")
            save_file({name: weight.contiguous() for name, weight in weights.items()}, file)
            call = {"method": "load_trained_weights", "args": [file]}
            url = f"{self.vllm_client.base_url}/collective_rpc"
            reply = self.vllm_client.session.post(url, json=call, timeout=SYNC_LIMIT_S)
        finally:
            shutil.rmtree(folder)
        if reply.status_code != 200:
            raise RunError(
                f"the vLLM server at {self.vllm_client.base_url} does not take new weights ({reply.status_code}: "
                f"{reply.text[:200]}); leave out vllm_server_base_url and grpo starts a server that does."
            )


def wants_own_server(training: Any) -> bool:
    """Whether rollouts come from a server that nobody has started yet: on a CPU, where the settings name none."""
    asked = training.use_vllm and training.use_cpu and training.vllm_mode == "server"
    return asked and training.vllm_server_base_url is None


def dtype_name(model: Any) -> str:
    """The dtype of a model's weights, as vLLM calls it."""
    return str(model.dtype).removeprefix("torch.")


@contextmanager
def reaching_vllm(training: Any, model: Any) -> Iterator[None]:
    """TRL's trainer, made in this block, reaches vLLM on this machine: as TRL does on GPUs, by `CPUGeneration` without.

    On both, adapters are merged by `MergedGeneration`.
    """
    before, on_cpu = grpo_trainer.VLLMGeneration, training.use_vllm and training.use_cpu
    grpo_trainer.VLLMGeneration = CPUGeneration if on_cpu else MergedGeneration
    try:
        with fitting_cpu(model) if on_cpu else nullcontext():
            yield
    finally:
        grpo_trainer.VLLMGeneration = before


@contextmanager
def fitting_cpu(model: Any) -> Iterator[None]:
    """An engine made in this block has the model's dtype and compiles nothing; torch keeps its threads."""
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # else the trainer's threads are bound as well
    engine, set_num_threads, threads = vllm_generation.LLM, torch.set_num_threads, torch.get_num_threads()
    vllm_generation.LLM = partial(engine, dtype=dtype_name(model), enforce_eager=True)
    try:
        yield
    finally:
        vllm_generation.LLM = engine
        torch.set_num_threads = set_num_threads  # vLLM turns it off, and leaves one thread
        torch.set_num_threads(threads)


def check_server_model(trainer: Any, model: str) -> None:
    """ConfigError where a server of vLLM samples from another model than the one that is trained."""
    client = getattr(getattr(trainer, "vllm_generation", None), "vllm_client", None)
    if client is None:
        return
    (served, *_) = client._get(f"{client.base_url}/v1/models")["data"]
    names = {str(served.get("root") or ""), str(served["id"])}
    if model not in names and Path(model).resolve() not in {Path(name).resolve() for name in names}:
        raise ConfigError(
            f"the vLLM server at {client.base_url} serves '{served.get('root') or served['id']}', but '{model}' is trained; "
            "name the server of that model with vllm_server_base_url, or start one for it."
        )
