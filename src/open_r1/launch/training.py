"""A training as it is launched: the recipe, accelerate's file, the machines that train and the one that serves vLLM.

`plan_launch` checks all of it before anything is started or queued.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from open_r1.errors import UsageError
from open_r1.launch.accelerate import Layout, accelerate_words, check_agreement, check_world_size
from open_r1.launch.accelerate_file import AccelerateFile, find_accelerate_file
from open_r1.launch.recipe import LaunchRecipe, last_of, shown


@dataclass(frozen=True)
class ServerShape:
    """How vLLM uses the node that it has to itself: `data` copies of the model, each over `tensor` GPUs."""

    data: int = 1
    tensor: int = 1


@dataclass(frozen=True)
class TrainingLaunch:
    """A launch that can be carried out.

    Args:
        layout: The machines that train, without vLLM's.
        server: The shape of a vLLM on a node of its own, the last one; None where there is none.
        further: Settings that the launch adds to the recipe's.
        notices: What the user should know, a sentence each.
    """

    recipe: LaunchRecipe
    file: AccelerateFile
    layout: Layout
    server: ServerShape | None = None
    further: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    def words(
        self, rank: str = "0", address: str = "", port: int = 0, logs: Path | None = None, server_url: str = ""
    ) -> list[str]:
        """What follows `accelerate launch`; see `accelerate_words`."""
        served = (f"--vllm_server_base_url={server_url}",) if server_url else ()
        further = (*self.further, *served)
        place = {"rank": rank, "address": address, "port": port, "logs": logs}
        return accelerate_words(self.file, self.recipe, self.layout, **place, further=further)


def plan_launch(
    recipe: LaunchRecipe,
    accelerator: str,
    nodes: int = 1,
    gpus: int = 0,
    processes: int | None = None,
    data_parallel: int | None = None,
    tensor_parallel: int | None = None,
) -> TrainingLaunch:
    """The launch of a recipe on `nodes` machines of `gpus` GPUs each.

    Args:
        accelerator: The name or path of accelerate's file.
        processes: Training processes a machine; by default one a GPU, or one where there is none.
        data_parallel: Copies of the model in a vLLM on a node of its own; 1 by default.
        tensor_parallel: GPUs of each copy; by default 1, or what the recipe says where vLLM is beside the trainer.

    Raises:
        UsageError: Settings that can't work together.
    """
    file = find_accelerate_file(accelerator)
    server, further, notices = None, (), ()
    if recipe.wants_vllm_node:
        server = place_server(recipe, nodes, gpus, data_parallel or 1, tensor_parallel or 1)
        if server.data * server.tensor < gpus:
            used = server.data * server.tensor
            notices = (f"vLLM uses {used} of its node's {gpus} GPUs; --dp {gpus // server.tensor} uses all of them",)
    elif recipe.is_on("use_vllm"):
        further, notices = beside_the_trainer(recipe, data_parallel, tensor_parallel)
    elif (data_parallel or 1) > 1 or (tensor_parallel or 1) > 1:
        notices = ("--dp and --tp are vLLM's, which this recipe does not use: they change nothing",)
    on_cpu = recipe.on_cpu or not gpus
    if not on_cpu and processes is not None and processes > gpus:
        raise UsageError(f"--processes {processes} is more than a machine's {gpus} GPUs, and each trains in one process; "
                         f"take --processes {gpus}.")  # fmt: skip
    layout = Layout(nodes - (server is not None), processes or (1 if on_cpu else gpus), has_gpus=not on_cpu)
    check_agreement(file, recipe, layout)
    check_world_size(recipe, layout.processes)
    if recipe.is_on("use_vllm") and recipe.task == "grpo" and recipe.value("vllm_mode", "colocate") == "colocate":
        check_tensor_parallel(tensor_parallel or recipe.count("vllm_tensor_parallel_size", 1), layout)
    return TrainingLaunch(recipe, file, layout, server, further, notices)


def check_tensor_parallel(size: int, layout: Layout) -> None:
    """UsageError where vLLM beside the trainer, over `size` processes, can't divide them. Leans on TRL 1.16's rule."""
    world = layout.processes
    if world % size:
        fitting = [number for number in range(1, layout.processes_per_node + 1) if not world % number]
        raise UsageError(
            f"vLLM beside the trainer spreads the model over {size} processes, which do not divide the {world} that train; "
            f"take --tp {last_of([str(number) for number in fitting])}."
        )


def place_server(recipe: LaunchRecipe, nodes: int, gpus: int, data: int, tensor: int) -> ServerShape:
    """The shape of vLLM on the last node. UsageError where there is no node for it, or too few GPUs there."""
    if nodes < 2:
        raise UsageError(
            f"{shown(recipe.path)} has vllm_mode server, which needs a node beside those that train, but there is 1 node; "
            "take --nodes 2, or --args '--vllm_mode=colocate' to have vLLM beside the trainer, or name a server that runs "
            "with --args '--vllm_server_base_url=http://HOST:PORT'."
        )
    if data * tensor > gpus:
        raise UsageError(
            f"--dp {data} × --tp {tensor} needs {data * tensor} GPUs, but vLLM's node has {gpus}; lower one of them."
        )
    return ServerShape(data, tensor)


def beside_the_trainer(
    recipe: LaunchRecipe, data: int | None, tensor: int | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Settings and notices for a vLLM in the training's own processes, which has no copies to choose."""
    notices = ()
    if (data or 1) > 1:
        notices = (
            f"--dp {data} is not used: {shown(recipe.path)} has vLLM beside the trainer; a node of its own is "
            "--args '--vllm_mode=server'",
        )
    is_other = tensor is not None and tensor != recipe.count("vllm_tensor_parallel_size", 1)
    return ((f"--vllm_tensor_parallel_size={tensor}",) if is_other else ()), notices
