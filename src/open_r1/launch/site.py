"""What one cluster needs, in one small YAML file: `slurm/site.yaml`, or the file that OPEN_R1_SITE names.

    partition: gpu
    account: my-project
    gpus_per_node: 8
    modules: [cuda/13.0]
    environment: {HF_HOME: $SCRATCH/huggingface}
    flags: [--exclusive, --constraint=h100]

Every key may be left out, and so may the file; an empty one says nothing. `python -m open_r1.launch.site` prints the shell
lines that prepare a job: the modules and the environment.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from open_r1.configs.fields import setting
from open_r1.configs.ranges import Range
from open_r1.configs.reader import read_recipe
from open_r1.configs.types import read_record
from open_r1.errors import ConfigError

SITE_FILE = Path("slurm") / "site.yaml"
VARIABLE = "OPEN_R1_SITE"
NOT_A_FLAG = "flags of sbatch start with --, for example --exclusive"
NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Site:
    """How jobs are submitted on one cluster."""

    partition: str = setting("", "sbatch's --partition")
    account: str = setting("", "sbatch's --account")
    gpus_per_node: int = setting(8, "GPUs that each node gives to a job; 0 on a cluster of CPUs", Range(0))
    modules: list[str] = setting([], "what `module load` loads before a job's command")
    environment: dict[str, str] = setting({}, "environment variables of every job; $NAME is replaced in the job")
    flags: list[str] = setting([], "further flags of sbatch")

    def sbatch_flags(self) -> list[str]:
        """The flags that every submission has."""
        named = {"--partition": self.partition, "--account": self.account}
        return [*(f"{flag}={value}" for flag, value in named.items() if value), *self.flags]

    def shell_lines(self) -> list[str]:
        """The lines of a job's script that prepare its shell."""
        load = [f"module load {' '.join(self.modules)}"] if self.modules else []
        return [*load, *(f"export {name}={quote(value)}" for name, value in self.environment.items())]


def quote(value: str) -> str:
    """A shell word in which $NAME is replaced, and nothing else is."""
    escaped = re.sub(r'(["\\`]|\$(?![A-Za-z_{]))', r"\\\1", value)
    return f'"{escaped}"'


def read_site(file: Path | None = None, environment: Mapping[str, str] = os.environ) -> Site:
    """The site of this machine: of `file`, of OPEN_R1_SITE, of `slurm/site.yaml` here, or one without wishes.

    ConfigError for a file that is named and does not exist, an unknown key or a value of another type.
    """
    named = file or (Path(environment[VARIABLE]) if environment.get(VARIABLE) else None)
    path = named or SITE_FILE
    if named is None and not path.exists():
        return Site()
    site = read_record(Site, read_recipe(path, "site file", may_be_empty=True), "", str(path))
    for flag in site.flags:
        if not flag.startswith("-"):
            raise ConfigError(f"{path}: '{flag}' is not a flag; {NOT_A_FLAG}.")
    for name in site.environment:
        if not NAME.fullmatch(name):
            raise ConfigError(f"{path}: '{name}' can't name an environment variable; use letters, digits and _.")
    return site


if __name__ == "__main__":
    try:
        sys.stdout.write("\n".join(read_site().shell_lines()))
    except ConfigError as error:
        sys.exit(f"open-r1: {error}")
