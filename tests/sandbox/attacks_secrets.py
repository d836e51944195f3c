"""Attacks: what the box must not show. Environments, files, descriptors, and the memory of other processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from attacks import Attack
from probing import LIBC, call, ctypes, sleeping_child


def search_own_environment(pattern):
    libc_environ = ctypes.POINTER(ctypes.c_char_p).in_dll(LIBC, "environ")
    entries = []
    while libc_environ[len(entries)] is not None:
        entries.append(libc_environ[len(entries)].decode(errors="replace"))
    entries += [f"{key}={value}" for key, value in os.environ.items()]
    return [entry for entry in entries if pattern in entry]


def search_processes(pattern, what):
    """The environment or command line of every process that can be seen."""
    found = []
    for pid in [*filter(str.isdigit, os.listdir("/proc")), "self", "thread-self"]:
        try:
            with open(f"/proc/{pid}/{what}", "rb") as file:
                if pattern.encode() in file.read():
                    found.append(pid)
        except OSError:
            continue
    return found


def read_process_files(pids, what):
    """The same for processes whose numbers are known, or guessed."""
    found = []
    for pid in {*pids, os.getppid(), os.getpid(), 1}:
        path = f"/proc/{pid}/{what}"
        try:
            if path.endswith(("fd", "task", "root", "cwd")):
                os.listdir(path)
            else:
                open(path, "rb", buffering=0).close()
        except OSError:
            continue
        found.append(pid)
    return found


def read_file(path):
    with open(path, "rb") as file:
        return file.read(64)


def read_file_by_descriptor(path):
    """Step by step from every folder that can be had."""
    for start in ("/", ".", "/usr", "/dev"):
        try:
            folder = os.open(start, os.O_RDONLY)
        except OSError:
            continue
        for prefix in ("", "../../../../../../../.."):
            try:
                handle = os.open(prefix + path if prefix else path.lstrip("/"), os.O_RDONLY, dir_fd=folder)
            except OSError:
                continue
            return os.read(handle, 64)
    return None


def read_file_by_symlink(path):
    os.symlink(path, "link")
    with open("link", "rb") as file:
        return file.read(64)


def look_at(path):
    """Whether it is there, and how large it is."""
    return os.stat(path)


def list_folder(path):
    return os.listdir(path)[:8]


def open_any(paths):
    """The first of many files and folders that can be opened or listed."""
    for path in paths:
        try:
            return path, os.listdir(path) if os.path.isdir(path) else os.close(os.open(path, os.O_RDONLY))
        except OSError:
            continue
    return None


def open_descriptors(make_one):
    if make_one:
        os.dup2(0, 40)
    found = []
    for descriptor in range(3, 70000):
        try:
            kind = os.fstat(descriptor)
        except OSError:
            continue
        found.append((descriptor, oct(kind.st_mode)))
    return found


def read_descriptors(pattern, first):
    """The text behind any descriptor that came along."""
    for descriptor in range(first, 4096):
        try:
            os.set_blocking(descriptor, False)
            text = os.read(descriptor, 4096)
        except OSError:
            continue
        if pattern.encode() in text:
            return f"descriptor {descriptor}"
    return None


def read_memory(pids, names):
    """Memory at an address that the fork server and its children share: where this very library lies."""
    address = ctypes.cast(LIBC.getpid, ctypes.c_void_p).value
    local = ctypes.create_string_buffer(16)

    class Span(ctypes.Structure):
        _fields_ = (("start", ctypes.c_void_p), ("length", ctypes.c_size_t))

    for pid in [*pids, os.getppid(), 1] if pids else [os.getpid()]:
        ours, theirs = Span(ctypes.addressof(local), 16), Span(address, 16)
        for name in names:
            try:
                if call(name, pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) > 0:
                    return name, pid
            except OSError:
                continue
        try:
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                memory.seek(address)
                return memory.read(8)
        except OSError:
            continue
    return None


def trace(pids):
    """Attach to a process: PTRACE_SEIZE and PTRACE_ATTACH."""
    for pid in [*pids, os.getppid()] if pids else [sleeping_child()]:
        for request in (0x4206, 16):
            try:
                call("ptrace", request, pid, 0, 0)
            except OSError:
                continue
            return pid
    return None


def be_traced(_how):
    """PTRACE_TRACEME: harmless in itself, but it says that ptrace is let through."""
    return "traced" if call("ptrace", 0, 0, 0, 0) == 0 else None


def steal_descriptors(pids):
    for pid in [*pids, os.getppid()] if pids else [sleeping_child()]:
        try:
            handle = call("pidfd_open", pid, 0)
        except OSError:
            continue
        for descriptor in range(64):
            try:
                return call("pidfd_getfd", handle, descriptor, 0)
            except OSError:
                continue
    return None


def find_processes(pids):
    found = []
    for pid in [*pids, os.getppid() or 2] if pids else [sleeping_child()]:
        try:
            os.kill(pid, 0)
        except OSError:
            continue
        found.append(pid)
    return found


OS_FILE = os.__file__
SYSTEM_FILES = """
/etc/shadow /etc/gshadow /etc/ssh/sshd_config /etc/sudoers /etc/machine-id /etc/hostname /root/.bashrc /root/.netrc
/root/.ssh/id_rsa /root/.cache/huggingface/token /var/log/dpkg.log /var/lib/dpkg/status
/proc/version /proc/self/environ /proc/self/maps /proc/self/mem /proc/self/cmdline /proc/1/environ
/proc/1/cmdline /proc/kcore /proc/kallsyms /proc/mounts /proc/meminfo /proc/net/tcp /proc/sys/kernel/core_pattern
/proc/keys /sys/kernel/vmcoreinfo /sys/class/net/lo/address /dev/mem /dev/kmsg /dev/vda /dev/sda
/run/docker.sock /run/secrets/kubernetes.io/serviceaccount/token /run/systemd/notify
""".split()
FOLDERS = ["/proc", "/sys", "/var", "/run", "/etc/ssh", "/mnt", "/boot", "/proc/self/fd", "/proc/self/task",
           "/proc/self/root", "/dev/shm", "/root/.ssh", "/root/.cache", "/home", "/root"]  # fmt: skip


def beside_what_is_shown(_world):
    """What lies beside the interpreter and tools that are shown, up to the root: keys and settings of a home, say."""
    from open_r1.execution.sandbox.tiers import worker_config
    from open_r1.execution.sandbox.toolchains import SHOWN_ALWAYS

    shown = {Path(path) for path in worker_config("A").readable}
    apart = {path for path in shown if not str(path).startswith((*SHOWN_ALWAYS, "/etc"))}
    on_the_way = {folder for path in apart for folder in path.parents} - {Path("/")}
    found = {path for folder in on_the_way if os.access(folder, os.R_OK) for path in folder.iterdir()}
    targets = {path: path.resolve() for path in found - on_the_way}  # a link to what is shown leads nowhere else
    return (sorted(str(path) for path, target in targets.items() if not shown & {path, target, *target.parents}),)


def everyone(world):
    return [world.grader_pid, world.sleeper_pid, 2, 3]


TABLE = [
    Attack(search_own_environment, lambda w: (w.secret,), lambda w: (w.secret,), "outside"),
    Attack(search_own_environment, ("TOKEN",), lambda w: (w.secret,), "outside", "tokens_in_own_environment"),
    *(
        Attack(search_processes, lambda w, what=what: (w.secret, what), lambda w, what=what: (w.secret, what), "outside",
               f"search_processes_{what}")
        for what in ("environ", "cmdline")
    ),
    *(
        Attack(read_process_files, lambda w, what=what: (everyone(w), what), lambda w, what=what: (everyone(w), what),
               "outside", f"process_{what}")
        for what in ("environ", "cmdline", "maps", "mem", "status", "limits", "fd", "task", "cwd", "root")
    ),
    Attack(read_file, lambda w: (w.secret_file,), (OS_FILE,), name="read_graders_file"),
    Attack(look_at, lambda w: (w.secret_file,), (OS_FILE,), tiers="A"),
    Attack(read_file_by_descriptor, lambda w: (w.secret_file,), (OS_FILE,)),
    Attack(read_file_by_symlink, lambda w: (w.secret_file,), (OS_FILE,), tiers="A"),
    *(Attack(read_file, (path,), (OS_FILE,), name=f"read_{path}") for path in SYSTEM_FILES),
    *(Attack(list_folder, (path,), (os.path.dirname(OS_FILE),), name=f"list_{path}") for path in FOLDERS
      if not sys.base_prefix.startswith(path)),
    Attack(list_folder, lambda w: (str(w.folder),), (os.path.dirname(OS_FILE),), name="list_graders_folder"),
    Attack(list_folder, (os.path.dirname(__file__),), (os.path.dirname(OS_FILE),), name="list_the_checkout"),
    Attack(open_any, beside_what_is_shown, ([OS_FILE],), name="beside_what_is_shown"),
    Attack(open_descriptors, (False,), (True,)),
    Attack(read_descriptors, lambda w: (w.secret, 3), lambda w: (w.secret, 0)),
    Attack(read_memory, lambda w: (everyone(w), ("process_vm_readv", "process_vm_writev")),
           ([], ("process_vm_readv",)), "outside"),
    Attack(trace, lambda w: (everyone(w),), ([],), "outside"),
    Attack(be_traced, (0,), (0,), "outside"),
    Attack(steal_descriptors, lambda w: (everyone(w),), ([],), "outside"),
    Attack(find_processes, lambda w: (everyone(w),), ([],), "outside"),
]  # fmt: skip
