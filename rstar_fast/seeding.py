"""Counter-based random streams: every draw of a search is keyed by (seed, problem, node, sample), never by order of arrival."""

import hashlib

import numpy as np


def draw_key(seed: int, problem_id: str, node: int, sample: int) -> int:
    """128-bit key of one candidate's random stream; the same four values give the same key on every machine."""
    text = f"{seed}\0{node}\0{sample}\0{problem_id}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")


def stream(key: int) -> np.random.Generator:
    """The random stream of a key (Philox, a counter-based generator)."""
    return np.random.Generator(np.random.Philox(key=key))
