"""Splits of generated problems."""

import hashlib
from typing import Literal

# One instance in ten is held out.
_HELD_OUT_SHARE = 10


def home_of(instance: str) -> Literal["train", "held_out"]:
    """Return the side that a problem belongs to, by a hash of what it asks: one in ten is held out.

    Args:
        instance: Text of the problem without what does not change its solution, such as names.
    """
    byte = hashlib.blake2b(instance.encode(), digest_size=8).digest()[0]
    return "train" if byte % _HELD_OUT_SHARE else "held_out"
