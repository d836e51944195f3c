"""What stands before every hostile program in the box, and what such programs are made of.

A probe is a function that tries something and returns what it got hold of; nothing, or an OSError, means that it was
stopped. `attacks.program_of` makes a program of this file's text, the probe's text, and a call of `report`; so a probe
uses only this file and the standard library. Nothing here is called in the process that runs the tests.
"""

import ctypes
import errno
import os
import platform
import struct  # noqa: F401  (for the probes)
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long

# name: number on x86_64, number on aarch64 (None: not there)
NUMBERS = {
    "accept": (43, 202), "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bind": (49, 200),
    "bpf": (321, 280), "capget": (125, 90), "capset": (126, 91), "chown": (92, None), "chroot": (161, 51),
    "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435), "connect": (42, 203),
    "delete_module": (176, 106), "fanotify_init": (300, 262), "fcntl": (72, 25), "finit_module": (313, 273),
    "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433), "getpid": (39, 172), "init_module": (175, 105),
    "inotify_init1": (294, 26), "io_setup": (206, 0), "io_uring_register": (427, 427), "io_uring_setup": (425, 425),
    "ioperm": (173, None), "iopl": (172, None), "ioprio_set": (251, 30), "kcmp": (312, 272),
    "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219),
    "landlock_create_ruleset": (444, 444), "listen": (50, 201), "lookup_dcookie": (212, 18), "mbind": (237, 235),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "migrate_pages": (256, 238), "mknodat": (259, 33),
    "mlockall": (151, 230), "modify_ldt": (154, None), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "move_pages": (279, 239), "mq_open": (240, 180), "mq_unlink": (241, 181),
    "msgget": (68, 186), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pivot_root": (155, 41), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "reboot": (169, 142), "request_key": (249, 218), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "sched_setattr": (314, 274), "sched_setscheduler": (144, 119), "seccomp": (317, 277), "semget": (64, 190),
    "sendmmsg": (307, 269), "set_mempolicy": (238, 237), "setdomainname": (171, 162), "setgroups": (116, 159),
    "sethostname": (170, 161), "setns": (308, 268), "setpriority": (141, 140), "setresuid": (117, 147),
    "settimeofday": (164, 170), "setxattr": (188, 5), "shmat": (30, 196), "shmctl": (31, 195), "shmget": (29, 194),
    "socket": (41, 198), "swapon": (167, 224), "syslog": (103, 116), "tgkill": (234, 131), "timer_create": (222, 107),
    "timer_settime": (223, 110), "tkill": (200, 130), "umount2": (166, 39), "unshare": (272, 97),
    "uselib": (134, None), "userfaultfd": (323, 282), "vmsplice": (278, 75),
}  # fmt: skip

STOPPED = ("EPERM", "EACCES", "ENOSYS")
"""How a call ends that the sandbox doesn't let through to the kernel."""


def number_of(name):
    """The system call's number on this machine, or None."""
    return NUMBERS[name][0 if platform.machine() == "x86_64" else 1]


def raw_call(number, *arguments):
    """A system call by its number: integers and ctypes objects as they are, bytes as a pointer."""
    ctypes.set_errno(0)
    converted = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) if isinstance(a, bytes) else a
                 for a in arguments]  # fmt: skip
    result = LIBC.syscall(ctypes.c_long(number), *converted)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{number}: {os.strerror(code)}")
    return result


def call(name, *arguments):
    """A system call by its name; OSError when it fails or this machine hasn't got it."""
    number = number_of(name)
    if number is None:
        raise OSError(errno.ENOSYS, f"{name}: not on this machine")
    return raw_call(number, *arguments)


def sleeping_child(namespaces=0):
    """A process of our own that stays for a while: what a control may do something to."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        LIBC.unshare(namespaces)
        os.write(tell, b"x")
        LIBC.usleep(900_000)
        os._exit(0)
    os.read(ready, 1)
    return pid


def report(probe, *targets):
    """Say on standard output how the probe ended: ESCAPED with what it found, or blocked with the reason."""
    try:
        found = probe(*targets)
    except OSError as error:
        print("blocked:", errno.errorcode.get(error.errno, error.errno), error, flush=True)
    else:
        print(f"ESCAPED: {found}" if found else "blocked: nothing found", flush=True)
    sys.stdout.flush()
