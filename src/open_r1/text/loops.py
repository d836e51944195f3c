r"""Whether a text goes round in circles: the share of it that repeats.

A loop is a run of `WINDOW` tokens that occurs at least `TIMES` times. Two or three occurrences are not a loop: models state
a problem again, and repeat a program that they have thought of. What repeats in fewer than `LEAST` windows in all is not
a loop either: a nested formula, a row of a table. Tokens are words in pieces of up to 16 characters,
single ideographs, and runs of punctuation, so that a text without spaces or of one endless word is covered as well.

    >>> looping_share("So x = 3. " * 100) > 0.9
    True
"""

from __future__ import annotations

import re

WINDOW = 20
TIMES = 4
LEAST = 100

_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,16}|[^\w\s]{1,16}"
)
_PRIME = 0x9E3779B97F4A7C15


def looping_share(text: str) -> float:
    """The share of a text's windows of `WINDOW` tokens that occur at least `TIMES` times in it, from 0 to 1."""
    import numpy as np

    numbers: dict[str, int] = {}
    ids = [numbers.setdefault(token, len(numbers)) for token in _TOKEN.findall(text)]
    count = len(ids) - WINDOW + 1
    if count < LEAST:
        return 0.0
    tokens = np.array(ids, dtype=np.uint64) + np.uint64(1)
    tokens = (tokens ^ (tokens >> np.uint64(7))) * np.uint64(_PRIME)
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(WINDOW):
        hashes = hashes * np.uint64(0xD6E8FEB86659FD93) + tokens[offset : offset + count]
    _, occurrences = np.unique(hashes, return_counts=True)
    looping = int(occurrences[occurrences >= TIMES].sum())
    return looping / count if looping >= LEAST else 0.0
