"""Train a recipe over GPUs and machines, by accelerate and Slurm.

examples:
  open-r1 launch recipes/OpenR1-Distill-7B/sft/config_distill.yaml --accelerator zero3
  open-r1 launch --model OpenR1-Distill-7B --task sft --config distill --accelerator zero3 --dry-run
  open-r1 launch --model Qwen2.5-1.5B-Instruct --task grpo --config demo --accelerator zero2 --nodes 2 --slurm

A dry run checks how the launch fits GPUs and machines, and prints the line that it would run; the recipe's own settings
are checked by `open-r1 sft|grpo --config RECIPE --dry-run`. Settings of the recipe are changed by --args.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, tell
from open_r1.cli.options import add
from open_r1.errors import UsageError
from open_r1.gpus import find_gpu

if TYPE_CHECKING:
    from open_r1.launch.recipe import LaunchRecipe
    from open_r1.launch.site import Site
    from open_r1.launch.training import TrainingLaunch

ACCELERATE_PORT, VLLM_PORT = 29500, 8000
"""The ports that accelerate and vLLM take by themselves."""


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

    gpus = count_gpus() if arguments.gpus is None else read_gpus(arguments.gpus)
    launch = read_launch(arguments, recipe, arguments.nodes, gpus)
    if arguments.dry_run:
        show_lines(launch)
        return 0
    if arguments.nodes > 1:
        raise UsageError(
            f"--nodes {arguments.nodes} can't be started from here; add --slurm, or --dry-run for the lines."
        )
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


def read_gpus(text: str) -> int:
    """The number of GPUs in "8" or, as `open-r1 plan` takes it, "8xH100". UsageError for anything else."""
    number, _, kind = text.partition("x")
    if not number.isdecimal():
        raise UsageError(f"--gpus must be a number, as 8 or 8xH100, but is {text!r}.")
    if kind:
        find_gpu(kind)
    return int(number)


def read_launch(arguments: argparse.Namespace, recipe: LaunchRecipe, nodes: int, gpus: int) -> TrainingLaunch:
    """The launch on that many nodes and GPUs, checked; its notices are shown."""
    from open_r1.launch.training import plan_launch

    for name in ("nodes", "processes", "dp", "tp"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, but is {value}.")
    launch = plan_launch(recipe, arguments.accelerator, nodes, gpus, arguments.processes, arguments.dp, arguments.tp)
    for notice in launch.notices:
        tell(f"notice: {notice}")
    return launch


def show_lines(launch: TrainingLaunch) -> None:
    """The line of each machine, vLLM's first; addresses are left to whoever knows them."""
    url = ""
    if launch.server is not None:
        from open_r1.launch.vllm_node import serve_words

        url = f"http://LAST-MACHINE:{VLLM_PORT}"
        show(shlex.join(serve_words(launch.recipe, launch.server, VLLM_PORT)))
    for rank in range(launch.layout.nodes):
        words = launch.words(str(rank), "FIRST-MACHINE", ACCELERATE_PORT, server_url=url)
        show(f"accelerate launch {shlex.join(words)}")


def run_slurm(arguments: argparse.Namespace, recipe: LaunchRecipe) -> int:
    """Submit the job, or print its submission; everything is checked first."""
    from open_r1.launch.site import VARIABLE, read_site
    from open_r1.launch.slurm import check_cluster, submit_script

    site = read_site(arguments.site)
    gpus = site.gpus_per_node if arguments.gpus is None else read_gpus(arguments.gpus)
    launch = read_launch(arguments, recipe, arguments.nodes, gpus)
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
