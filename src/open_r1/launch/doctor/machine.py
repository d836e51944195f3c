"""The machine that programs and files use: compilers, the sandbox, disk, limits, shared memory, tools and keys."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from pathlib import Path

from open_r1.errors import OpenR1Error
from open_r1.launch.doctor.findings import Finding, install, note, ok, problem
from open_r1.launch.doctor.libraries import installed

GB = 10**9
LEAST_GB, ENOUGH_GB = 2, 50
"""Free disk: below the first a tiny run fails; a 7B model with its checkpoints needs the second and more."""

LEAST_FILES, ENOUGH_FILES = 1024, 4096
"""Open files: what Linux gives by default; what hundreds of requests at once and data loaders need."""

LEAST_SHARED_GB = 1
COMPILES = ("deepspeed", "triton", "vllm")
"""Libraries that compile kernels when they are first used."""

KEYS = {
    "HF_TOKEN": ("Hugging Face", "private models and data, publishing", "hf auth login"),
    "WANDB_API_KEY": ("Weights & Biases", "report_to: wandb", "wandb login"),
    "E2B_API_KEY": ("E2B", "code_provider: e2b", "export E2B_API_KEY=…, or a line in .env"),
    "MORPH_API_KEY": ("Morph", "code_provider: morph", "export MORPH_API_KEY=…, or a line in .env"),
}
"""Variable -> whose key, what needs it, how it is given."""


def examine_compilers() -> list[Finding]:
    """The C++ compiler that libraries need, and the languages that the sandbox can run."""
    from open_r1.execution.service.languages import languages_missing

    users = [name for name in COMPILES if installed(name)]
    fix = "apt-get install g++"
    if shutil.which("g++") or shutil.which("c++") or shutil.which("clang++"):
        findings = [ok("C++ compiler", str(shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")))]
    elif users:
        findings = [problem("C++ compiler", f"none on PATH, and {', '.join(users)} compiles when first used", fix)]
    else:
        findings = [note("C++ compiler", "none on PATH", fix)]
    for language, remedy in languages_missing().items():
        what, _, command = remedy.partition("; ")
        findings.append(note(f"language {language}", f"programs in it can't be run: {what} on PATH", command))
    return findings


def examine_sandbox() -> list[Finding]:
    """The isolation of a model's programs, by the sandbox's own check."""
    from open_r1.execution.sandbox.tiers import REMEDY, detect

    found = detect()
    causes = "; ".join(f"not tier {tier}: {cause}" for tier, cause in found.obstacles.items())
    if found.tier == "A":
        return [ok("sandbox", "tier A: programs in all languages are isolated")]
    fix = next((switch for cause in found.obstacles.values() if (switch := switch_on(cause))), REMEDY)
    if found.tier:
        return [note("sandbox", f"tier {found.tier}: Python only ({causes})", fix)]
    return [problem("sandbox", f"programs can't be isolated, so none is run ({causes})", fix)]


def switch_on(cause: str) -> str:
    """The command that allows user namespaces, where a setting of the system is what forbids them."""
    values = {"apparmor_restrict_unprivileged_userns": 0, "unprivileged_userns_clone": 1, "max_user_namespaces": 15000}
    for name, value in values.items():
        if f"{name} is" in cause:
            path = next(word for word in cause.split() if word.endswith(name))
            return f"sudo sysctl -w {path.removeprefix('/proc/sys/').replace('/', '.')}={value}"
    return ""


def examine_disk() -> list[Finding]:
    """Free space, and whether it can be written, where runs, temporary files and downloaded models go."""
    cache = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    temporary = Path(os.environ.get("TMPDIR") or "/tmp")
    places = {
        "this folder": (Path.cwd(), "cd to a folder on another disk"),
        "TMPDIR": (temporary, "export TMPDIR=FOLDER on another disk"),
        "HF_HOME": (cache, "export HF_HOME=FOLDER on another disk"),
    }
    return [examine_folder(name, path, fix) for name, (path, fix) in places.items()]


def examine_folder(name: str, path: Path, fix: str) -> Finding:
    """One folder, or where it is not made yet, the one that it will be made in."""
    subject = f"disk, {name}"
    if name == "TMPDIR" and not path.is_dir():
        return problem(subject, f"{path} is not a folder", f"mkdir -p {path}, or {fix}")
    folder = next(one for one in (path, *path.parents) if one.is_dir())
    try:
        free = shutil.disk_usage(folder).free / GB
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**20))
    except OSError as error:
        return problem(subject, f"{folder} can't be written: {error.strerror}", fix)
    if free < LEAST_GB:
        return problem(subject, f"{free:.1f} GB free in {folder}", f"free some space there, or {fix}")
    if free < ENOUGH_GB:
        return note(subject, f"{free:.0f} GB free in {folder}; a 7B model and its checkpoints need more", fix)
    return ok(subject, f"{free:,.0f} GB free in {folder}")


def examine_limits() -> list[Finding]:
    """Limits of this shell's processes, and shared memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = soft == resource.RLIM_INFINITY
    most = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    fix = (
        f"ulimit -n {most}"
        if hard > soft or hard == resource.RLIM_INFINITY
        else "sudo prlimit --pid $$ --nofile=65536"
    )
    files = f"{'unlimited' if unlimited else f'{soft:,}'} open files"
    findings = [ok("ulimit -n", files)]
    if not unlimited and soft < ENOUGH_FILES:
        judge = problem if soft < LEAST_FILES else note
        findings = [judge("ulimit -n", f"{files}; servers and data loaders need {ENOUGH_FILES:,}", fix)]
    size, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if size != resource.RLIM_INFINITY:
        findings.append(
            problem("ulimit -f", f"files end at {size / GB:.2f} GB: checkpoints are larger", "ulimit -f unlimited")
        )
    return [*findings, *examine_shared_memory()]


def examine_shared_memory(folder: Path = Path("/dev/shm")) -> list[Finding]:
    """/dev/shm, which NCCL, vLLM and data loaders pass data through."""
    if not folder.is_dir():
        return []
    size = shutil.disk_usage(folder).total / GB
    if size >= LEAST_SHARED_GB:
        return [ok("shared memory", f"{size:.0f} GB")]
    fix = f"sudo mount -o remount,size=16G {folder}; in a container, start it with --shm-size=16g"
    return [problem("shared memory", f"{size * 1000:.0f} MB in {folder}: NCCL and vLLM between GPUs need more", fix)]


def examine_tools() -> list[Finding]:
    """git-lfs, which only cloning from the Hub by Git needs."""
    if shutil.which("git-lfs"):
        return [ok("git-lfs", str(shutil.which("git-lfs")))]
    return [
        note(
            "git-lfs", "not on PATH: models can't be cloned by Git; downloads don't need it", "apt-get install git-lfs"
        )
    ]


def examine_keys() -> list[Finding]:
    """Which accounts' keys there are; never a value."""
    from open_r1.execution.environment import read_environment

    try:
        variables = read_environment()
    except OpenR1Error as error:
        return [problem(".env", str(error), "fix or remove .env")]
    findings = []
    for variable, (whose, users, fix) in KEYS.items():
        source = variable if variables.get(variable) else stored_key(variable)
        here = f"a key in {source}"
        findings.append(ok(whose, here) if source else note(whose, f"no key; needed for {users}", fix))
    if Path(".env").is_file() and not installed("python-dotenv"):
        findings.append(problem(".env", "is not read: python-dotenv is missing", install("[code]")))
    return findings


def stored_key(variable: str) -> str:
    """The file that a login wrote, where there is one."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    token = Path(os.environ.get("HF_TOKEN_PATH") or home / "token")
    if variable == "HF_TOKEN" and token.is_file():
        return str(token)
    netrc = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        has_login = variable == "WANDB_API_KEY" and "api.wandb.ai" in netrc.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        has_login = False
    return str(netrc) if has_login else ""
