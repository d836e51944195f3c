"""MinHash signatures of texts, by rensa: the share of values that two have in common estimates the Jaccard similarity of
the texts' sets of word n-grams (Broder 1997), with a standard error of at most 0.045.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from open_r1.text.ngrams import Hashes, Places, Words, ngram_hashes

Signatures = npt.NDArray[np.uint32]  # of shape (texts, `NUM_HASHES`)
NUM_HASHES = 128  # values of a signature
SEED = 1  # seed of the permutations: the same texts give the same signatures on every machine


def sign(words: Words, n: int) -> tuple[Signatures, npt.NDArray[np.bool_]]:
    """A signature per text, and whether the text has an n-gram; the signatures of texts without one are equal."""
    num_texts = len(words.bounds) - 1
    hashes = ngram_hashes(words.hashes, n)
    starts = np.arange(len(hashes))
    owners = words.texts_of(starts)
    is_within = owners == words.texts_of(starts + n - 1)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owners[is_within], minlength=num_texts))))
    return minhash(hashes[is_within], offsets), np.diff(offsets) > 0


def minhash(hashes: Hashes, offsets: Places) -> Signatures:
    """A signature per text, whose n-grams' hashes are between two `offsets`."""
    from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue] - compiled, without stubs

    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets.astype(np.uint64), NUM_HASHES, SEED)
    return np.array(matrix.to_rows(), np.uint32).reshape(-1, NUM_HASHES)


def similarities(signatures: Signatures, one: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """The estimated similarity of each text to one."""
    return (signatures == one).mean(axis=1) if len(signatures) else np.zeros(0)
