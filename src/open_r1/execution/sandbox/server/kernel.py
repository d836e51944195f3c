"""Linux calls that the standard library doesn't have, each raising OSError with the call's name; and calls by name.

Each word of a table is `name:number on x86_64:number on aarch64`, as in the kernel's own `asm/unistd_64.h` and
`asm-generic/unistd.h`; "-" where a machine lacks the call.
"""

from __future__ import annotations

import ctypes
import os
import platform

MACHINES = ("x86_64", "aarch64")

_HARMLESS = """
read:0:63 write:1:64 readv:19:65 writev:20:66 pread64:17:67 pwrite64:18:68 preadv:295:69 pwritev:296:70
preadv2:327:286 pwritev2:328:287 lseek:8:62 close:3:57 close_range:436:436 dup:32:23 dup2:33:- dup3:292:24 fcntl:72:25
flock:73:32 fsync:74:82 fdatasync:75:83 sync_file_range:277:84 ftruncate:77:46 fallocate:285:47 fadvise64:221:223
sendfile:40:71 splice:275:76 copy_file_range:326:285 open:2:- openat:257:56 openat2:437:437 creat:85:- access:21:-
faccessat:269:48 faccessat2:439:439 stat:4:- lstat:6:- fstat:5:80 newfstatat:262:79 statx:332:291 statfs:137:43
fstatfs:138:44 getdents:78:- getdents64:217:61 getcwd:79:17 chdir:80:49 fchdir:81:50 readlink:89:- readlinkat:267:78
umask:95:166 pipe:22:- pipe2:293:59 eventfd:284:- eventfd2:290:19 mmap:9:222 mprotect:10:226 munmap:11:215
mremap:25:216 brk:12:214 madvise:28:233 msync:26:227 mincore:27:232 mlock:149:228 munlock:150:229 membarrier:324:283
select:23:- pselect6:270:72 poll:7:- ppoll:271:73 epoll_create:213:- epoll_create1:291:20 epoll_ctl:233:21
epoll_wait:232:- epoll_pwait:281:22 epoll_pwait2:441:441 nanosleep:35:101 clock_nanosleep:230:115 pause:34:-
sched_yield:24:124 futex:202:98 timerfd_create:283:85 timerfd_settime:286:86 timerfd_gettime:287:87
timer_create:222:107 timer_settime:223:110 timer_gettime:224:108 timer_getoverrun:225:109 timer_delete:226:111
getitimer:36:102 setitimer:38:103 alarm:37:- rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139
rt_sigpending:127:136 rt_sigtimedwait:128:137 rt_sigsuspend:130:133 sigaltstack:131:132 restart_syscall:219:128
wait4:61:260 waitid:247:95 exit:60:93 exit_group:231:94 gettimeofday:96:169 time:201:- clock_gettime:228:113
clock_getres:229:114 times:100:153 getrusage:98:165 sysinfo:99:179 uname:63:160 getcpu:309:168 getrandom:318:278
getpid:39:172 getppid:110:173 gettid:186:178 getuid:102:174 geteuid:107:175 getgid:104:176 getegid:108:177
getgroups:115:158 getresuid:118:148 getresgid:120:150 getpgrp:111:- getpgid:121:155 getsid:124:156 getrlimit:97:163
sched_getaffinity:204:123 sched_getparam:143:121 sched_getscheduler:145:120 sched_get_priority_max:146:125
sched_get_priority_min:147:126 set_tid_address:218:96 set_robust_list:273:99 get_robust_list:274:100 rseq:334:293
arch_prctl:158:- socketpair:53:199 sendto:44:206 recvfrom:45:207 sendmsg:46:211 recvmsg:47:212 shutdown:48:210
getsockname:51:204 getpeername:52:205 getsockopt:55:209
"""
"""What every program may call, whatever its arguments."""

_WRITING = """
rename:82:- renameat:264:38 renameat2:316:276 mkdir:83:- mkdirat:258:34 rmdir:84:- unlink:87:- unlinkat:263:35
link:86:- linkat:265:37 symlink:88:- symlinkat:266:36 chmod:90:- fchmod:91:52 fchmodat:268:53 truncate:76:45
utimes:235:- utimensat:280:88
"""
"""Changing names and attributes of files: only where the working folder is the program's own."""

_PROCESSES = """
kill:62:129 tgkill:234:131 tkill:200:130 rt_sigqueueinfo:129:138 setpgid:109:154 setsid:112:157 getpriority:140:141
sched_setaffinity:203:122
"""
"""Signals and scheduling: only where no process but the program's own can be named."""

_OTHERS = """
capset:126:91 clone:56:220 clone3:435:435 execve:59:221 execveat:322:281 fork:57:- ioctl:16:29
landlock_add_rule:445:445 landlock_create_ruleset:444:444 landlock_restrict_self:446:446 mount_setattr:442:442
pivot_root:155:41 prctl:157:167 prlimit64:302:261 seccomp:317:277 vfork:58:-
"""
"""Calls that depend on a rule, and those that the server makes itself."""


def _names(table: str) -> list[str]:
    return [word.partition(":")[0] for word in table.split()]


HARMLESS, WRITING, PROCESSES = _names(_HARMLESS), _names(_WRITING), _names(_PROCESSES)


def _numbers(column: int) -> dict[str, int]:
    words = [word.split(":") for word in f"{_HARMLESS} {_WRITING} {_PROCESSES} {_OTHERS}".split()]
    return {word[0]: int(word[column]) for word in words if word[column] != "-"}


NUMBERS = {machine: _numbers(column) for column, machine in enumerate(MACHINES, start=1)}


CLONE_NEWTIME, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x80, 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
CLONE_THREAD = 0x00010000

MS_NOSUID, MS_NODEV, MS_NOATIME, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 1024, 4096, 16384, 1 << 18
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_READ_ONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522
HIGHEST_CAPABILITY = 63
NO_CALL = -1
"""A number that no call has: ENOSYS."""

MACHINE = platform.machine()
SYSCALLS = NUMBERS.get(MACHINE, {})
_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, argument: int = 0) -> None:
    """Set an attribute of this process (prctl(2)); OSError if the kernel refuses."""
    _check(_libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0), f"prctl {option}")


def unshare(flags: int, what: str) -> None:
    """Enter new namespaces (unshare(2)); OSError says `what` was refused."""
    _check(_libc.unshare(flags), f"unshare {what}")


def setns(descriptor: int, flags: int) -> None:
    """Join the namespace of an open descriptor (setns(2)); OSError if the kernel refuses."""
    _check(_libc.setns(descriptor, flags), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a filesystem, or change a mount (mount(2)); OSError names the target."""
    words = [word.encode() for word in (source, target, kind)]
    _check(_libc.mount(*words, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def unmount(target: str) -> None:
    """Lazily: a process that uses it keeps it, but its name is gone."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def make_read_only(path: str) -> None:
    """The mount at `path` and all below: read-only, no set-uid programs, no devices."""
    wanted = MOUNT_ATTR_READ_ONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
    attributes = (ctypes.c_uint64 * 4)(wanted, 0, 0, 0)
    call("mount_setattr", AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, ctypes.sizeof(attributes))


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root of this mount namespace and put the former root at `old` (pivot_root(2))."""
    call("pivot_root", new.encode(), old.encode())


def drop_capabilities() -> None:
    """Give up every capability of this process."""
    header, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    call("capset", header, none)


def drop_bounding_capabilities() -> None:
    """No program started from here can gain a capability."""
    for capability in range(HIGHEST_CAPABILITY + 1):
        _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)  # EINVAL past the kernel's last
    _libc.prctl(PR_CAP_AMBIENT, ctypes.c_ulong(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)


def call(name: str, *arguments: object) -> int:
    """A system call by name; numbers are passed as C longs."""
    number = SYSCALLS.get(name, NO_CALL)
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in (number, *arguments)]
    return _check(_libc.syscall(*words), name)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
