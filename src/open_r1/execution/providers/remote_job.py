"""What is sent to a remote Python kernel (E2B, Morph) to run one program there; see `wrapping`.

It writes the files, compiles, runs with limits, and prints one framed record that the program can't forge: where the
kernel is root the program runs as a user of its own, and elsewhere the file and the memory that contain the nonce are
hidden from it. It does not isolate; the machine there is the sandbox, and it is thrown away.

Sent as text, so: the standard library of Python 3.8 and nothing else.
"""

import base64
import contextlib
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib

FIRST_USER, NUM_USERS = 60578, 606
"""Users that no system gives out; one a job, so that each has its count of processes to itself."""
ENVIRONMENT = {"LANG": "C.UTF-8", "PYTHONINTMAXSTRDIGITS": "0", "MALLOC_ARENA_MAX": "1"}
MEMORY_MESSAGES = (b"MemoryError", b"std::bad_alloc", b"out of memory", b"OutOfMemoryError")


def run_job(job):
    """A job as `wrapping` packs it -> the record of what happened."""
    folder = tempfile.mkdtemp()
    try:
        return run_in(folder, job)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_in(folder, job):
    limits = job["limits"]
    build, work = os.path.join(folder, "build"), os.path.join(folder, "work")
    for path in (build, work):
        os.mkdir(path)
    os.chmod(folder, 0o755)
    write_files(work, job["files"])
    write_files(build if job["compile"] else work, dict(job["sources"], **{job["main"]: job["source"]}))
    job["run"][0] = {"python3": sys.executable}.get(job["run"][0], job["run"][0])
    for command in (job["compile"], job["run"]):
        if command and not command[0].startswith(".") and not shutil.which(command[0]):
            return record("unavailable", reason="unsupported_language", detail=f"the sandbox has no {command[0]}")
    owner = FIRST_USER + os.getpid() % NUM_USERS if can_give_up_root() else None
    if owner is not None:
        give_away(folder, owner)
    if job["compile"]:
        compiled = run(job["compile"], build, job["compile_limits"], b"", owner)
        if compiled["status"] != "finished" or compiled["exit_code"] != 0:
            return dict(compiled, status="compile_error", stderr=compiled["stderr"] or compiled["stdout"])
        for name in [job["main"], *job["sources"]]:
            os.remove(os.path.join(build, name))
    return run(job["run"] + job["args"], work, limits, base64.b64decode(job["stdin"]), owner)


def write_files(folder, files):
    for name, content in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(content))


def hide(nonce):
    """Where the program will be the same user: no reading of this process's memory, nor of the file that it came in."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    for path in {getattr(sys.modules["__main__"], "__file__", None) or os.devnull, sys.argv[0] or os.devnull}:
        with contextlib.suppress(OSError):
            with open(path, "rb") as file:
                is_this = nonce.encode("ascii") in file.read()
            if is_this:
                os.remove(path)


def can_give_up_root():
    """Whether this is root, and another user could still start the interpreter."""
    if os.geteuid() != 0:
        return False
    path = os.path.realpath(sys.executable)
    while True:
        if not os.stat(path).st_mode & 0o001:
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


def give_away(folder, owner):
    for path, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            os.chown(os.path.join(path, name), owner, owner)


def run(command, folder, limits, stdin, owner):
    """Run a command within its limits; what it wrote, how it ended and what it used."""
    most = int(limits["output_kb"]) * 1024
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=given,
            stdout=out,
            stderr=err,
            env=dict(ENVIRONMENT, PATH=os.environ.get("PATH", os.defpath), HOME=folder, TMPDIR=folder),
            start_new_session=True,
            preexec_fn=lambda: restrict(limits, owner),
        )
        excess, exit_code, usage = watch(process, (out, err), started + limits["wall_s"], most)
        wall_s = time.monotonic() - started
        for file in (out, err):
            file.seek(0)
        outputs = [file.read(most + 1) for file in (out, err)]
    return judge_end(excess, exit_code, usage, wall_s, outputs[0], outputs[1], limits)


def restrict(limits, owner):
    """In the child, before the program starts."""
    cpu_s = math.ceil(limits["cpu_s"])
    memory = int(limits["memory_mb"]) << 20
    largest_file = max(int(limits["disk_mb"]) << 20, (int(limits["output_kb"]) + 1024) << 10)
    wanted = [
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_FSIZE, largest_file, largest_file),
        (resource.RLIMIT_NOFILE, int(limits["open_files"]), int(limits["open_files"])),
        (resource.RLIMIT_CORE, 0, 0),
    ]
    if limits["counts_address_space"]:
        wanted.append((resource.RLIMIT_AS, memory, memory))
    if owner is not None:
        wanted.append((resource.RLIMIT_NPROC, int(limits["processes"]), int(limits["processes"])))
    for kind, soft, hard in wanted:
        with contextlib.suppress(ValueError, OSError):  # the machine's own limit is lower
            resource.setrlimit(kind, (soft, hard))
    if owner is not None:
        os.setgroups([])
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)


def watch(process, outputs, deadline, most):
    """Wait until the program has ended or exceeds a limit; then whatever it has left behind is killed."""
    excess = ""
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if max(os.fstat(file.fileno()).st_size for file in outputs) > most:
            excess = "output_limit"
        elif not pid and time.monotonic() >= deadline:
            excess = "time_limit"
        if excess and not pid:
            kill_group(process.pid)
            pid, status, usage = os.wait4(process.pid, 0)
        if pid:
            break
        time.sleep(0.005)
    kill_group(process.pid)
    process.returncode = code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    return excess, code, usage


def kill_group(pid):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def judge_end(excess, exit_code, usage, wall_s, stdout, stderr, limits):
    cpu_s = usage.ru_utime + usage.ru_stime
    memory_mb = usage.ru_maxrss / 1024.0
    status = excess or "finished"
    was_killed_late = exit_code == -signal.SIGKILL and cpu_s >= limits["cpu_s"] * 0.9
    if not excess and (exit_code == -signal.SIGXCPU or was_killed_late):
        status = "time_limit"
    elif not excess and exit_code != 0:
        has_said_so = any(message in stderr[-2000:] for message in MEMORY_MESSAGES)
        if has_said_so or memory_mb >= limits["memory_mb"] * 0.98:
            status = "memory_limit"
    return record(status, stdout, stderr, exit_code, wall_s, cpu_s, memory_mb)


def record(
    status, stdout=b"", stderr=b"", exit_code=None, wall_s=None, cpu_s=None, memory_mb=None, reason="", detail=""
):
    return {
        "index": 0,
        "status": status,
        "stdout": base64.b64encode(stdout).decode("ascii"),
        "stderr": base64.b64encode(stderr).decode("ascii"),
        "exit_code": exit_code,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "memory_mb": memory_mb,
        "reason": reason,
        "detail": detail,
    }


def answer(packed_job, nonce):
    """Run a packed job and print the framed record."""
    if not can_give_up_root():
        hide(nonce)
    try:
        result = run_job(json.loads(zlib.decompress(base64.b64decode(packed_job)).decode("utf-8")))
    except Exception as error:  # noqa: BLE001  the record is the only way to tell
        result = record("unavailable", reason="sandbox_failed", detail=f"{type(error).__name__}: {error}")
    frame = base64.b64encode(zlib.compress(json.dumps(result).encode("utf-8"), 1)).decode("ascii")
    sys.stdout.write(f"\n{nonce}:{frame}:{nonce}\n")
    sys.stdout.flush()
