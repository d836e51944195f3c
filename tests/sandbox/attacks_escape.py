"""Attacks: out of the box, or up in rights. System calls, names, limits, machine code."""

from __future__ import annotations

import os
import platform

from attacks import Attack, without_namespaces
from probing import LIBC, STOPPED, call, ctypes, errno, raw_call, sleeping_child, struct


def reach_kernel(name, *arguments):
    """A system call that the kernel should not even see; with arguments that do nothing, its own error says that it did."""
    try:
        result = call(name, *arguments)
    except OSError as error:
        if errno.errorcode.get(error.errno) in STOPPED:
            raise
        return f"{name} reached the kernel: {error}"
    return f"{name} returned {result}"


def make_namespace(flags, how):
    if how == "unshare":
        call("unshare", flags)
        return f"unshare {flags:#x}"
    child_exits_with = 17  # SIGCHLD
    if how == "clone":
        pid = call("clone", flags | child_exits_with, 0, 0, 0, 0)
    else:
        arguments = struct.pack("8Q", flags, 0, 0, 0, child_exits_with, 0, 0, 0)
        pid = call("clone3", arguments, len(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return f"{how} {flags:#x}"


def enter_namespace(pids):
    """Another process's namespaces, by /proc or by its pidfd."""
    any_of_them = 0x7E020080
    if not pids:
        pids = [sleeping_child(0x10000000)]
    for pid in [*pids, os.getppid(), 1]:
        for name in ("user", "mnt", "net", "pid", "uts", "ipc"):
            try:
                call("setns", os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), 0)
                return pid, name
            except OSError:
                continue
        try:
            call("setns", call("pidfd_open", pid, 0), any_of_them)
            return pid
        except OSError:
            continue
    return None


def gain_rights(_how):
    """Identities and capabilities, and whether a set-uid program could give them."""
    gained = []
    if LIBC.prctl(39, 0, 0, 0, 0) == 0:
        gained.append("new privileges may be had")
    for change in (os.setuid, os.setgid, os.seteuid, os.setegid):
        try:
            change(0)
        except OSError:
            continue
        gained.append(change.__name__)
    if 0 in (*os.getresuid(), *os.getresgid()):
        gained.append("root")
    header = struct.pack("Ii", 0x20080522, 0)
    held = ctypes.create_string_buffer(24)
    try:
        call("capget", header, held)
        gained += [f"capabilities {held.raw.hex()}"] if any(held.raw) else []
    except OSError:
        pass
    for capability in range(41):
        if LIBC.prctl(23, capability, 0, 0, 0) == 1:
            gained.append(f"capability {capability} may be had")
    return gained


def write_in(folders):
    """Make a file where none should be made."""
    for folder in folders:
        for name in ("open-r1-attack", "open-r1-attack.pth", ".open-r1-attack"):
            path = os.path.join(folder, name)
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
            except OSError:
                continue
            os.unlink(path)
            return path
    return None


def change_file(paths):
    """Open for writing, cut short, rename, remove, hide, or change the attributes of files that are there."""
    for path in paths:
        changes = {
            "write": lambda path=path: os.close(os.open(path, os.O_RDWR)),
            "truncate": lambda path=path: os.truncate(path, os.stat(path).st_size),
            "chmod": lambda path=path: os.chmod(path, os.stat(path).st_mode),
            "utime": lambda path=path: os.utime(path),
            "chown": lambda path=path: os.chown(path, -1, -1),
            "setxattr": lambda path=path: os.setxattr(path, "user.note", b"x"),
            "rename": lambda path=path: os.rename(path, f"{path}-moved"),
            "link": lambda path=path: os.link(path, "linked"),
        }
        for name, change in changes.items():
            try:
                change()
            except OSError:
                continue
            return name, path
    return None


def write_to_input(own):
    """Standard input, directly and by its names in /proc and /dev."""
    if own:
        os.dup2(os.memfd_create("own"), 0)
    written = []
    for path in ("/proc/self/fd/0", "/proc/thread-self/fd/0", "/dev/fd/0", ""):
        try:
            written.append((path, os.pwrite(os.open(path, os.O_RDWR) if path else 0, b"x", 0)))
        except OSError:
            continue
    return written


def make_device(how):
    """A device of one's own: the null device, the first disk."""
    kinds = {"character": (0o020666, os.makedev(1, 3)), "block": (0o060666, os.makedev(254, 0)), "fifo": (0o010666, 0)}
    kind, device = kinds[how]
    os.mknod("node", kind, device)
    os.unlink("node")
    return how


def open_device(path):
    return f"descriptor {os.open(path, os.O_RDWR)}"


def push_into_terminal(command, width):
    """TIOCSTI puts characters into the terminal that another shell reads. "Not a terminal" is the kernel's word."""
    for descriptor in (0, 1, 2):
        ctypes.set_errno(0)
        result = LIBC.ioctl(descriptor, ctypes.c_ulong(command | width), b"x")
        if result >= 0 or ctypes.get_errno() != errno.EPERM:
            return errno.errorcode.get(ctypes.get_errno())
    return None


def be_told_of_others(path, command, value):
    """By fcntl: a lease holds up whoever opens a file, a notification and a signal say what others do."""
    call("fcntl", os.open(path or "own", os.O_RDONLY | (0 if path else os.O_CREAT)), command, value)
    return f"fcntl {command}"


def keep_unmapped_memory(how, megabytes):
    """Shared memory of no file stays in RAM while a page of it is mapped; limits count the page."""
    LIBC.mmap.restype = ctypes.c_void_p
    size, total = 4 << 20, 0
    descriptor = os.open("/dev/zero", os.O_RDWR) if how == "device" else -1
    while total < megabytes:
        flags = 1 if how == "device" else 0x21
        place = LIBC.mmap(None, ctypes.c_size_t(size), 3, flags, descriptor, ctypes.c_long(0))
        if place in (None, (1 << 64) - 1):
            raise OSError(ctypes.get_errno(), "mmap")
        ctypes.memset(place, 1, size)
        LIBC.munmap(ctypes.c_void_p(place + 4096), ctypes.c_size_t(size - 4096))
        total += 4
    return f"{total} MB"


def raise_limit(name, process, by):
    """A hard limit above what it is; of this process or another."""
    import resource

    what = getattr(resource, name)
    try:
        soft, most = resource.prlimit(process, what)
        if most == resource.RLIM_INFINITY:
            return f"{name} has no limit at all"
        resource.prlimit(process, what, (soft, most + by))
    except ValueError:
        return None
    return name


def raise_priority(how):
    if how == "nice":
        os.nice(-5)
    elif how == "real time":
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    elif how == "all of the user":
        os.setpriority(os.PRIO_USER, 0, 19)
    elif how == "the group":
        os.setpriority(os.PRIO_PGRP, 0, 19)
    elif how == "own":
        os.setpriority(os.PRIO_PROCESS, 0, 19)
    elif os.getppid() == 0:
        return None
    else:
        os.sched_setaffinity(os.getppid(), {0})
    return how


def call_by_x32(number):
    """The third table of calls of an x86-64 kernel, which a filter may forget."""
    return f"returned {raw_call(0x40000000 + number)}"


def run_machine_code(code):
    """Bytes that leave a number in the first register."""
    import mmap

    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    result = function()
    return f"returned {result}" if result > 0 else None


def start_program(path, arguments):
    """Another program, in a new process or in this one's place."""
    if os.access(path, os.X_OK):
        os.execv(path, [path, *arguments])
    return None


def start_process(how):
    if how == "fork":
        pid = os.fork()
    elif how == "spawn":
        pid = os.posix_spawn("/bin/true", ["true"], {})
    else:
        pid = LIBC.vfork() if how == "vfork" else call("clone", 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return how


def find_setuid_programs(folders):
    """Programs that would run as someone else: those that are there and not on a mount that takes their power."""
    found = []
    for folder in folders:
        for top, _, names in os.walk(folder):
            for name in names:
                try:
                    mode = os.lstat(os.path.join(top, name)).st_mode
                except OSError:
                    continue
                powerless = os.statvfs(top).f_flag & os.ST_NOSUID
                if mode & 0o6000 and mode & 0o100000 and not powerless and LIBC.prctl(39, 0, 0, 0, 0) == 0:
                    found.append(os.path.join(top, name))
    return found


# Arguments that make each call fail harmlessly where it gets through.
CALLS = {
    "acct": (b"/nowhere/at/all",), "add_key": (b"user", b"open-r1", b"x", 1, -3), "bpf": (0, 0, 0),
    "chroot": (b"/",), "delete_module": (b"open-r1-nothing", 0), "fanotify_init": (0xFFFF, 0),
    "finit_module": (-1, 0, 0), "fsmount": (-1, 0, 0), "fsopen": (0, 0), "init_module": (0, 0, 0),
    "inotify_init1": (0xFFFF,), "io_setup": (0, 0), "io_uring_setup": (0, 0), "ioperm": (0, 0, 0), "iopl": (9,),
    "ioprio_set": (9, 0, 0), "kcmp": (1, 1, 99, 0, 0), "kexec_load": (0, 0, 0, -1), "keyctl": (0, -3, 0),
    "lookup_dcookie": (0, 0, 0), "mbind": (0, 0, 99, 0, 0, 99), "memfd_create": (0, 0), "memfd_secret": (-1,),
    "migrate_pages": (0, 0, 0, 0), "mknodat": (-100, b"/nowhere/at/all", 0o010666, 0), "modify_ldt": (99, 0, 0),
    "mount": (0, b"/nowhere", 0, 0, 0), "mount_setattr": (-1, 0, 0, 0, 0), "move_mount": (-1, 0, -1, 0, 0),
    "move_pages": (1, 0, 0, 0, 0, 0), "mq_open": (0, 0, 0, 0), "mq_unlink": (0,), "msgget": (0x0BE17, 0),
    "name_to_handle_at": (-1, 0, 0, 0, 0), "open_by_handle_at": (-1, 0, 0), "open_tree": (-1, 0, 0),
    "perf_event_open": (0, 0, 0, -1, 0), "personality": (0xFFFFFFFF,), "pidfd_getfd": (-1, 0, 0),
    "pidfd_open": (-1, 0), "pidfd_send_signal": (-1, 0, 0, 0), "pivot_root": (0, 0), "process_madvise": (-1, 0, 0, 0, 0),
    "process_vm_readv": (1, 0, 0, 0, 0, 9), "process_vm_writev": (1, 0, 0, 0, 0, 9), "ptrace": (-1, 0, 0, 0),
    "quotactl": (0, 0, 0, 0), "reboot": (0, 0, 0, 0), "request_key": (0, 0, 0, 0),
    "sched_setattr": (0, 0, 0), "sched_setscheduler": (-1, 0, 0), "semget": (0x0BE17, 0, 0), "setdomainname": (0, -1),
    "setgroups": (-1, 0), "sethostname": (0, -1), "setns": (-1, 0), "settimeofday": (1, 1),
    "setpriority": (9, 0, 0), "shmat": (-1, 0, 0), "shmctl": (-1, 99, 0), "shmget": (0x0BE17, 0, 0), "socket": (-1, 0, 0),
    "swapon": (0, 0), "syslog": (99, 0, 0), "umount2": (b"/nowhere/at/all", 0), "unshare": (1 << 40,),
    "userfaultfd": (-1,), "vmsplice": (-1, 0, 0, 0), "connect": (-1, 0, 0), "bind": (-1, 0, 0), "listen": (-1, 0),
    "accept": (-1, 0, 0), "sendmmsg": (-1, 0, 0, 0), "setxattr": (0, 0, 0, 0, 0), "mlockall": (99,), "chown": (0, 0, 0),
    "set_mempolicy": (99, 0, 0), "uselib": (0,), "io_uring_register": (-1, 0, 0, 0), "fspick": (-1, 0, 0),
    "kexec_file_load": (-1, -1, 0, 0, 0), "clock_settime": (0, 0), "adjtimex": (0,), "setresuid": (0, 0, 0),
    "rt_tgsigqueueinfo": (-1, -1, 0, 0), "capset": (0, 0),
}  # fmt: skip

NAMESPACES = {
    "user": 0x10000000, "mount": 0x00020000, "net": 0x40000000, "pid": 0x20000000, "ipc": 0x08000000,
    "uts": 0x04000000, "cgroup": 0x02000000, "time": 0x80, "user_and_mount": 0x10020000,
}  # fmt: skip
NEWUSER = NAMESPACES["user"]
NOT_HERE = ["/", "/usr", "/usr/lib", "/usr/bin", "/bin", "/lib", "/etc", "/dev", "/dev/shm", "/home", "/root", "/var",
            "/var/tmp", "/run", "/proc/self", "/proc/sys/kernel", "/sys", "/sys/fs/cgroup", "/..", "/box/../..",
            os.path.dirname(os.__file__), os.path.join(os.path.dirname(os.__file__), "site-packages"),
            os.path.dirname(os.path.dirname(__file__)), "/opt", "/srv", "/mnt", "/usr/local/lib"]  # fmt: skip
DEVICES = ["/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/ptmx",
           "/dev/pts/0", "/dev/tty", "/dev/console", "/dev/vda", "/dev/sda", "/dev/loop-control", "/dev/nvidia0",
           "/dev/userfaultfd", "/dev/cpu/0/msr", "/dev/hwrng", "/dev/full", "/dev/vhost-net", "/dev/vsock"]  # fmt: skip
LIMITS = ["RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_CORE", "RLIMIT_MEMLOCK",
          "RLIMIT_MSGQUEUE", "RLIMIT_STACK", "RLIMIT_AS", "RLIMIT_NICE", "RLIMIT_RTPRIO"]  # fmt: skip
GETPID_BY_INT80 = bytes.fromhex("b814000000cd80c3")
RETURN_42 = bytes.fromhex("b82a000000c3")

TABLE = [
    *(Attack(reach_kernel, (name, *arguments), ("getpid",), name=f"call_{name}") for name, arguments in CALLS.items()),
    *(
        Attack(make_namespace, (flags, how), (NEWUSER, how), "outside", f"{how}_{name}", needs=without_namespaces)
        for how in ("unshare", "clone", "clone3") for name, flags in NAMESPACES.items()
        if not (how == "clone" and name == "time")
    ),
    Attack(enter_namespace, lambda w: ([w.grader_pid, w.sleeper_pid],), ([],), "outside", needs=without_namespaces),
    Attack(gain_rights, (0,), (0,), "outside"),
    Attack(write_in, (NOT_HERE,), (["/tmp"],), "outside"),
    Attack(write_in, (["/tmp", "/box", "/var/tmp", "."],), (["/tmp"],), "outside", "write_anywhere", tiers="B"),
    Attack(
        change_file, lambda w: ([os.__file__, "/usr/bin/env", "/etc/passwd", w.secret_file, w.scratch_file],),
        lambda w: ([w.scratch_file],), "outside",
    ),
    Attack(write_to_input, (False,), (True,), "outside"),
    *(Attack(make_device, (how,), ("fifo",), "outside", f"make_{how}_device") for how in ("character", "block")),
    *(Attack(open_device, (path,), ("/dev/null",), name=f"open_{path}") for path in DEVICES),
    *(
        Attack(push_into_terminal, (command, width), (0x5401, 0), name=f"ioctl_{command:#x}_{width:#x}")
        for command in (0x5412, 0x541C) for width in (0, 1 << 32, 1 << 63)
    ),
    *(
        Attack(push_into_terminal, (command, 0), (0x5401, 0), name=f"ioctl_{name}")
        for name, command in {"TIOCSWINSZ": 0x5414, "TIOCSCTTY": 0x540E, "TIOCSETD": 0x5423, "FIOASYNC": 0x5452,
                              "FIOSETOWN": 0x8901, "SIOCGIFCONF": 0x8912, "FS_IOC_SETFLAGS": 0x40086602,
                              "FICLONE": 0x40049409, "FS_IOC_FIEMAP": 0xC020660B, "none": 0}.items()
    ),
    *(
        Attack(be_told_of_others, (path, command, value), ("", command, 0 if command == 1024 else value), "outside",
               f"fcntl_{name}_{path.rpartition('/')[2]}")
        for name, command, value in (("lease", 1024, 0), ("owner", 8, 0), ("signal", 10, 9))
        for path in (os.__file__, "/usr/bin/env")
    ),
    *(
        Attack(be_told_of_others, (path, 1026, 0x8000003F), (".", 1026, 0x8000003F), "outside", f"fcntl_notify_{path}")
        for path in ("/usr", "/usr/bin", ".")
    ),
    *(
        Attack(keep_unmapped_memory, (how, 64), (how, 4), "outside", f"keep_unmapped_memory_{how}")
        for how in ("anonymous", "device")
    ),
    *(Attack(raise_limit, (name, 0, 1), (name, 0, 0), name=f"raise_{name}") for name in LIMITS),
    Attack(raise_limit, lambda w: ("RLIMIT_CPU", w.grader_pid, 0), ("RLIMIT_CPU", 0, 0), name="limit_of_the_grader"),
    *(
        Attack(raise_priority, (how,), ("own",), "outside", f"priority_{how.replace(' ', '_')}")
        for how in ("nice", "real time", "all of the user", "the group", "parent")
    ),
    *([
        Attack(run_machine_code, (GETPID_BY_INT80,), (RETURN_42,), name="call_by_int80"),
        *(Attack(call_by_x32, (number,), (39 - 0x40000000,), name=f"x32_{number}") for number in (39, 41, 57, 101, 520)),
    ] if platform.machine() == "x86_64" else []),
    Attack(start_program, ("/bin/sh", ["-c", "echo ESCAPED"]), ("/bin/sh", ["-c", "echo ESCAPED"]), "outside"),
    *(Attack(start_process, (how,), (how,), "outside", f"process_{how}") for how in ("fork", "spawn", "clone")),
    Attack(find_setuid_programs, (["/usr/bin", "/bin", "/usr/sbin", "/box"],), (["/usr/bin"],), "outside"),
]  # fmt: skip
