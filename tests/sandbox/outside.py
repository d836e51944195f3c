"""Runs a control outside the sandbox, with an ordinary user's rights: `python -I outside.py < program`.

Controls show that a check can fail: the same probe, after something harmless that is permitted. Root never runs one: the
rights go before the program is compiled. What a program imports is imported first, since an ordinary user may not be able
to read root's interpreter.
"""

import array  # noqa: F401
import ctypes
import encodings.idna  # noqa: F401
import errno  # noqa: F401
import fcntl  # noqa: F401
import gc  # noqa: F401
import glob  # noqa: F401
import mmap  # noqa: F401
import os
import pathlib  # noqa: F401
import platform  # noqa: F401
import random  # noqa: F401
import re  # noqa: F401
import resource
import select  # noqa: F401
import signal  # noqa: F401
import socket  # noqa: F401
import struct  # noqa: F401
import subprocess  # noqa: F401
import sys
import tempfile
import threading  # noqa: F401
import time  # noqa: F401

NOBODY = 65534
PR_SET_DUMPABLE = 4

program = sys.stdin.buffer.read()
if os.getuid() == 0:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
folder = tempfile.TemporaryDirectory()
os.chdir(folder.name)
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
try:
    exec(compile(program, "control.py", "exec"), {"__name__": "__main__"})
finally:
    folder.cleanup()
