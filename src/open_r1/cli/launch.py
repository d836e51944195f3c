"""Train a recipe over GPUs and machines, by accelerate and Slurm.

examples:
  open-r1 launch recipes/OpenR1-Distill-7B/sft/config_distill.yaml --accelerator zero3
  open-r1 launch --model OpenR1-Distill-7B --task sft --config distill --accelerator zero3 --dry-run
  open-r1 launch --model Qwen2.5-1.5B-Instruct --task grpo --config demo --accelerator zero2 --nodes 2 --slurm

A dry run checks how the launch fits GPUs and machines and all settings of the recipe, and prints the line that it would
run; data and model are checked by `open-r1 sft|grpo --config RECIPE --dry-run`. --args changes settings of the recipe.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, tell
from open_r1.cli.options import add
from open_r1.configs.ranges import COUNT
from open_r1.errors import UsageError
from open_r1.gpus import MOST_GPUS, read_gpus

if TYPE_CHECKING:
    from open_r1.launch.recipe import LaunchRecipe
    from open_r1.launch.site import Site
    from open_r1.launch.training import TrainingLaunch

ACCELERATE_PORT, VLLM_PORT = 29500, 8000
"""The ports that accelerate and vLLM take by themselves."""
SHOWN_MACHINES = 16
"""Machines that a dry run prints a line for each of."""


def add_options(parser: Any) -> None:
    """The options of `launch`."""
    parser.add_argument("recipe", nargs="?", type=Path, metavar="RECIPE", help="a recipe (YAML) of SFT or GRPO")
    add(parser, "model", help="the folder of a recipe: recipes/MODEL/TASK/config_CONFIG.yaml")
    add(parser, "task", metavar="TASK", help="sft or grpo (default: as the recipe's folder or name says)")
    add(parser, "config", metavar="CONFIG", help="the name of a recipe in recipes/MODEL/TASK")
    add(
        parser,
        "args",
        default="",
        metavar="WORDS",
        help="settings of the recipe to change, in quotes: '--key=value …'",
    )
    files = "ddp, fsdp, zero2, zero3, or a file of accelerate's"
    add(parser, "accelerator", default="ddp", metavar="NAME", help=files)
    add(parser, "nodes", type=int, default=1, metavar="N", help="machines; vLLM's own is one of them")
    gpus = "GPUs a machine (default: those here, or the site's gpus_per_node with --slurm)"
    add(parser, "gpus", metavar="N", help=gpus)
    per_node = "training processes a machine (default: one a GPU, or one without GPUs)"
    add(parser, "processes", help=per_node)
    add(parser, "dp", type=int, metavar="N", help="copies of the model in a vLLM on a node of its own (default: 1)")
    add(parser, "tp", type=int, metavar="N", help="GPUs of each copy (default: 1)")
    add(parser, "slurm", action="store_true", help="submit slurm/train.slurm instead of training here")
    add(parser, "site", type=Path, metavar="FILE", help="what this cluster needs (default: slurm/site.yaml)")
    add(parser, "dry-run", help="check how it fits, print the command, start nothing")
    parser.add_argument("--in-job", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Check the launch, then print it, submit it or carry it out."""
    recipe = read_recipe_choice(arguments)
    if arguments.in_job:
        return run_in_job(arguments, recipe)
    if arguments.slurm:
        return run_slurm(arguments, recipe)
    from open_r1.launch.accelerate import count_gpus

    gpus = count_gpus() if arguments.gpus is None else read_number_of_gpus(arguments.gpus)
    launch = read_launch(arguments, recipe, arguments.nodes, gpus)
    if arguments.dry_run:
        check_recipe(launch)
        show_lines(launch)
        return 0
    if arguments.nodes > 1:
        raise UsageError(
            f"--nodes {arguments.nodes} can't be started from here; add --slurm, or --dry-run for the lines."
        )
    if launch.layout.has_gpus and gpus > (here := count_gpus()):
        raise UsageError(f"--gpus {arguments.gpus} is more than the {here} GPUs of this machine; take --gpus {here}.")
    words = launch.words()
    tell(f"accelerate launch {shlex.join(words)}")
    from open_r1.launch.node import run_node

    return run_node(words)


def read_recipe_choice(arguments: argparse.Namespace) -> LaunchRecipe:
    """The recipe: RECIPE, or --model, --task and --config."""
    from open_r1.launch.recipe import find_recipe, open_recipe

    if arguments.recipe is not None:
        if arguments.model or arguments.config:
            raise UsageError("RECIPE names the recipe already; leave --model and --config out.")
        return open_recipe(arguments.recipe, arguments.task, arguments.args)
    given = {"--model": arguments.model, "--task": arguments.task, "--config": arguments.config}
    if missing := [name for name, value in given.items() if not value]:
        raise UsageError(f"name a recipe: RECIPE, or --model, --task and --config ({', '.join(missing)} missing).")
    return find_recipe(arguments.model, arguments.task, str(arguments.config), arguments.args)


def read_number_of_gpus(text: str) -> int:
    """The number of GPUs in "8" or, as `open-r1 plan` takes it, "8xH100". UsageError for anything else."""
    if text.isdecimal() and int(text) > MOST_GPUS:
        raise UsageError(f"--gpus must be from 0 to {MOST_GPUS} GPUs a machine, but is {text}.")
    return int(text) if text.isdecimal() else read_gpus(text)[0]


def read_launch(arguments: argparse.Namespace, recipe: LaunchRecipe, nodes: int, gpus: int) -> TrainingLaunch:
    """The launch on that many nodes and GPUs, checked; its notices are shown."""
    from open_r1.launch.training import plan_launch

    for name in ("nodes", "processes", "dp", "tp"):
        value = getattr(arguments, name)
        if value is not None and value not in COUNT:
            raise UsageError(f"--{name} must be {COUNT.in_words(value)}, but is {value}.")
    launch = plan_launch(recipe, arguments.accelerator, nodes, gpus, arguments.processes, arguments.dp, arguments.tp)
    for notice in launch.notices:
        tell(f"notice: {notice}")
    return launch


def check_recipe(launch: TrainingLaunch) -> None:
    """Check the training's settings as its own command does, for all processes of the launch; show the notices."""
    from open_r1.pipeline.training import parse_training

    recipe = launch.recipe
    tell("launch: loading the libraries")
    words = ["--config", str(recipe.path), *recipe.arguments, *launch.further]
    for notice in parse_training(recipe.task, words, processes=launch.layout.processes).notices:
        tell(f"notice: {notice}")


def show_lines(launch: TrainingLaunch) -> None:
    """The line of each machine, vLLM's first, or one for all of many; addresses are left to whoever knows them."""
    url = ""
    if launch.server is not None:
        from open_r1.launch.vllm_node import serve_words

        url = f"http://LAST-MACHINE:{VLLM_PORT}"
        show(shlex.join(serve_words(launch.recipe, launch.server, VLLM_PORT)))
    nodes = launch.layout.nodes
    for rank in range(nodes) if nodes <= SHOWN_MACHINES else ["RANK"]:
        words = launch.words(str(rank), "FIRST-MACHINE", ACCELERATE_PORT, server_url=url)
        show(f"accelerate launch {shlex.join(words)}")
    if nodes > SHOWN_MACHINES:
        tell(f"RANK is the number of the machine, from 0 to {nodes - 1}")


def run_slurm(arguments: argparse.Namespace, recipe: LaunchRecipe) -> int:
    """Submit the job, or print its submission; everything is checked first."""
    from open_r1.launch.site import VARIABLE, read_site
    from open_r1.launch.slurm import check_cluster, submit_script

    site = read_site(arguments.site)
    gpus = site.gpus_per_node if arguments.gpus is None else read_number_of_gpus(arguments.gpus)
    launch = read_launch(arguments, recipe, arguments.nodes, gpus)
    check_recipe(launch)
    words = sbatch_words(arguments, site, gpus)
    if arguments.dry_run:
        named = f"{VARIABLE}={shlex.quote(str(arguments.site))} " if arguments.site else ""
        show(f"{named}sbatch {shlex.join(words)}")
        tell(
            f"on each of {launch.layout.nodes} nodes: accelerate launch {shlex.join(launch.words('RANK', 'FIRST-NODE'))}"
        )
        return 0
    check_cluster(site, arguments.nodes)
    job = submit_script(words, arguments.site)
    show(job)
    tell(f"queued; its output is in open-r1-train-{job}.out, that of each process in logs/open-r1-train-{job}")
    return 0


def sbatch_words(arguments: argparse.Namespace, site: Site, gpus: int) -> list[str]:
    """What follows `sbatch`: the site's flags, the script, and the launch as it was asked for."""
    from open_r1.launch.recipe import CHECKOUT, shown

    here = Path("slurm") / "train.slurm"
    script = here if here.is_file() else CHECKOUT / here
    if not script.is_file():
        raise UsageError("slurm/train.slurm is not here; run this in a checkout of Open R1.")
    named = [shown(arguments.recipe)] if arguments.recipe else []
    names = ("model", "task", "config", "accelerator", "processes", "dp", "tp", "args")
    given = {name: getattr(arguments, name) for name in names}
    words = [word for name, value in given.items() if value for word in (f"--{name}", str(value))]
    flags = [f"--nodes={arguments.nodes}", f"--gpus-per-node={gpus}", *site.sbatch_flags()]
    return [*flags, shown(script), *named, *words]


def run_in_job(arguments: argparse.Namespace, recipe: LaunchRecipe) -> int:
    """Train over the nodes that this Slurm job has."""
    from open_r1.launch.job import read_allocation, run_training_job

    allocation = read_allocation()
    launch = read_launch(arguments, recipe, len(allocation.nodes), allocation.gpus_per_node)
    return run_training_job(launch, allocation, tell)
