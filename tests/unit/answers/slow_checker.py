"""A checker for the verifier's tests: the answer says how the check is to go wrong."""

from __future__ import annotations

import os
import signal
import time


def check(gold: str, answer: str, ordered: bool = False) -> str:
    if answer == "sleep":
        time.sleep(600)
    if answer == "hang in C":
        hash(pow(7, 10**9))  # one call that never comes back to the interpreter
    if answer == "ignore signals":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        while True:
            pass
    if answer == "die":
        os._exit(3)
    if answer == "abort":
        os.abort()
    if answer == "eat memory":
        bytearray(8 << 30)
    if answer == "print":
        print("noise on standard output", flush=True)
    if answer.startswith("pause"):
        time.sleep(float(answer.split()[1]))
    if answer.startswith("compute"):
        end = time.process_time() + float(answer.split()[1])
        while time.process_time() < end:
            pass
    return "correct" if gold == answer or answer == "print" else "wrong"
