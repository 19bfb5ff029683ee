"""Counter-based random streams.

Every draw of a search is keyed by (seed, problem, node, sample), and never by the order of arrival.
"""

import hashlib

import numpy as np


def draw_key(seed: int, problem_id: str, node: int, sample: int) -> int:
    """Return the 128-bit key of one candidate's random stream, the same on every machine.

    Args:
        seed: Seed of the search.
        problem_id: Key of the problem (`Problem.key`).
        node: Id of the node that is expanded, in its tree.
        sample: Number of the candidate, from 0.
    """
    text = f"{seed}\0{node}\0{sample}\0{problem_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")


def stream(key: int) -> np.random.Generator:
    """Return the random stream of a key. It is Philox, a counter-based generator."""
    return np.random.Generator(np.random.Philox(key=key))
