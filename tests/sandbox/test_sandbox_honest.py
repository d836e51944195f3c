"""What honest programs do is let through: a filter that stops everything would pass the attack suite too."""

from __future__ import annotations

import pytest
from attacks import Box, describe

HONEST = {
    "input": "import sys\nprint(sum(map(int, sys.stdin.read().split())))",
    "input_by_line": "n = int(input())\nprint(n + 1)",
    "input_by_descriptor": "import os\nprint(int(os.read(0, 100)) + 1)",
    "input_reopened": "print(int(open(0).read()) + 1)",
    "input_as_file": "print(int(open('/dev/stdin').readline()) + 1)",
    "input_mapped": "import mmap, sys\nprint(int(mmap.mmap(0, 0, prot=mmap.PROT_READ)[:]) + 1)",
    "threads": "import threading\nt = [threading.Thread(target=int) for _ in range(6)]\n[x.start() for x in t]\n"
    "[x.join() for x in t]\nprint(42)",
    "pool": "from concurrent.futures import ThreadPoolExecutor\nprint(sum(ThreadPoolExecutor(4).map(int, '66666666')) - 6)",
    "deep_recursion": "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 27)\n"
    "def f(n): return 0 if n == 0 else 1 + f(n - 1)\ndef main(): print(f(50000) - 49958)\n"
    "t = threading.Thread(target=main); t.start(); t.join()",
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 42\nprint(asyncio.run(f()))",
    "asyncio_thread": "import asyncio\nprint(asyncio.run(asyncio.to_thread(lambda: 42)))",
    "socketpair": "import socket\na, b = socket.socketpair()\na.send(b'42')\nprint(b.recv(9).decode())",
    "alarm": "import signal, time\ndef f(*a): print(42); raise SystemExit\nsignal.signal(signal.SIGALRM, f)\n"
    "signal.setitimer(signal.ITIMER_REAL, 0.05)\ntime.sleep(20)",
    "own_limit": "import resource as r\nr.setrlimit(r.RLIMIT_STACK, r.getrlimit(r.RLIMIT_STACK))\nprint(42)",
    "devnull": "import os\nprint(file=open(os.devnull, 'w'))\nprint(42)",
    "random": "import random, secrets, uuid\nrandom.random(); secrets.token_hex(); uuid.uuid4()\nprint(42)",
    "time": "import time, datetime\ntime.sleep(0.01); datetime.datetime.now(); time.process_time()\nprint(42)",
    "standard_library": "import decimal, fractions, statistics, heapq, bisect, itertools, functools, operator, string, re\n"
    "import json, csv, io, copy, enum, dataclasses, typing, abc, contextlib, calendar, hashlib, zlib, base64, struct\n"
    "import array, queue, graphlib, unittest, doctest, sqlite3, xml.etree.ElementTree, html, urllib.parse, textwrap\n"
    "import ipaddress, logging, pprint, difflib, configparser, pickle, weakref, zoneinfo\nprint(42)",
    "sqlite": "import sqlite3\nprint(sqlite3.connect(':memory:').execute('select 42').fetchone()[0])",
    "shared_memory_of_its_own": "import mmap\nm = mmap.mmap(-1, 4096)\nm[:2] = b'42'\nprint(m[:2].decode())",
    "machine": "import os, platform\nos.cpu_count(), platform.machine(), os.getpid(), os.getppid(), os.times()\nprint(42)",
    "exit_code": "import sys\nprint(42)\nsys.exit(0)",
    "exit_by_quit": "print(42)\nquit()",
    "garbage": "import gc\ngc.collect()\nprint(42)",
    "big_numbers": "import sys\nsys.set_int_max_str_digits(0)\nprint(len(str(3 ** 88)))",
    "unicode": "print('\u00e4\u4e2d\U0001f600' and 42)",
    "traceback": "import traceback\ntry: 1 / 0\nexcept ZeroDivisionError: traceback.format_exc(); print(42)",
    "profiling": "import cProfile\ncProfile.run('1')\nprint(42)",
}  # fmt: skip

WITH_A_FOLDER = {
    "files": "open('x', 'w').write('42')\nprint(open('x').read())",
    "temporary_files": "import tempfile\nwith tempfile.TemporaryDirectory() as d, open(d + '/x', 'w') as f: f.write('x')\n"
    "with tempfile.NamedTemporaryFile() as f: f.write(b'x')\nprint(42)",
    "own_module": "open('mine.py', 'w').write('x = 42')\nimport mine\nprint(mine.x)",
    "path": "import pathlib\npathlib.Path('a/b').mkdir(parents=True)\npathlib.Path('a/b/c').write_text('42')\n"
    "print(next(pathlib.Path('.').rglob('c')).read_text())",
    "sqlite_file": "import sqlite3\nc = sqlite3.connect('x.db')\nc.execute('create table t (n)')\n"
    "c.execute('insert into t values (42)')\nc.commit()\nprint(c.execute('select n from t').fetchone()[0])",
    "mapped_file": "import mmap\nopen('x', 'wb').write(b'00')\nf = open('x', 'r+b')\nm = mmap.mmap(f.fileno(), 2)\n"
    "m[:] = b'42'\nm.flush()\nprint(open('x').read())",
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_run(box: Box, name: str) -> None:
    if name == "input_as_file" and box.tier == "B":
        pytest.skip("tier B has no /dev/stdin")
    ran = box.run(HONEST[name], stdin=b"41\n" if name != "input" else b"40 2\n")
    assert ran.stdout.splitlines()[-1:] == [b"42"] and ran.succeeded, describe(ran)


@pytest.mark.parametrize("name", WITH_A_FOLDER)
def test_honest_programs_have_a_folder(box_a: Box, name: str) -> None:
    ran = box_a.run(WITH_A_FOLDER[name])
    assert (ran.stdout, ran.succeeded) == (b"42\n", True), describe(ran)
