"""Says as JSON what a sandbox does where the system lacks something: `python restricted.py LACK[,LACK] [TIER]`.

    namespaces   none may be made, entered or mounted in: what Docker's default filter does
    landlock     the kernel hasn't got it
    seccomp      no filter may be installed

The lack is made with a filter of system calls that this process puts on itself first, for good.
"""

from __future__ import annotations

import ctypes
import errno
import json
import struct
import sys

from probing import NUMBERS, number_of

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_EQUAL, JUMP_IF_SET, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
NEW_NAMESPACES = 0x7E020080
WITHOUT = {
    "namespaces": dict.fromkeys(
        "unshare setns mount umount2 pivot_root mount_setattr open_tree move_mount fsopen".split(), errno.EPERM
    ),
    "landlock": {"landlock_create_ruleset": errno.ENOSYS},
    "seccomp": {"seccomp": errno.ENOSYS},
}
MACHINES = {"x86_64": 0, "aarch64": 1}


def install(lacks: list[str]) -> None:
    """Refuse the calls that what is lacking consists of; `clone` only where it would make a namespace."""
    code = [_step(LOAD, 0)]
    for lack in lacks:
        for name, error in WITHOUT[lack].items():
            code += [_step(JUMP_EQUAL, number_of(name) or 0, 0, 1), _step(RETURN, FAIL | error)]
    if "namespaces" in lacks:
        code += [_step(JUMP_EQUAL, NUMBERS["clone3"][0], 0, 1), _step(RETURN, FAIL | errno.ENOSYS)]
        code += [_step(JUMP_EQUAL, number_of("clone") or 0, 0, 3), _step(LOAD, 16)]
        code += [_step(JUMP_IF_SET, NEW_NAMESPACES, 0, 1), _step(RETURN, FAIL | errno.EPERM)]
    program = b"".join([*code, _step(RETURN, ALLOW)])
    text = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0):
        sys.exit(f"no filter can be installed here: errno {ctypes.get_errno()}")


def _step(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", operation, if_true, if_false, value)


def main(lacks: list[str], tier: str | None) -> None:
    from open_r1.errors import ConfigError
    from open_r1.execution.programs import Program
    from open_r1.execution.sandbox.local import LocalProvider

    install(lacks)
    said: dict[str, str] = {}
    with LocalProvider(workers=1, tier=tier) as provider:
        try:
            provider.check()
            said["tier"] = provider.tier
        except ConfigError as error:
            said["refusal"] = str(error)
        ran = provider.execute(Program("import os\nprint('ran', os.getcwd())"))
    said |= {"status": ran.status.value, "stdout": ran.stdout.decode(), "reason": ran.reason, "detail": ran.detail}
    print(json.dumps(said))


if __name__ == "__main__":
    main([lack for lack in sys.argv[1].split(",") if lack], sys.argv[2] if len(sys.argv) > 2 else None)
