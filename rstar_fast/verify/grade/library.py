"""Comparing sums, products, integrals and limits by sympy and math-verify's LaTeX reader.

Runs in grading workers. Everything else is compared without it: see docs/grading.md.
"""

import re
from typing import Any

from rstar_fast.verify.grade.read.undress import undress

_OPERATORS = re.compile(r"\\(?:sum|prod|int|lim)(?![a-zA-Z])")
_LETTER = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])")


def has_operator(answer: str) -> bool:
    """Return whether an answer holds a sum, a product, an integral or a limit."""
    return _OPERATORS.search(answer) is not None


def equal_by_library(gold: str, answer: str) -> bool | None:
    r"""Compare two answers, of which one holds a sum, a product, an integral or a limit.

    Both are read as a whole, or not at all. Returns None where it cannot be decided.

    >>> equal_by_library(r"\sum_{k=1}^{4} k", "10"), equal_by_library("10", r"\sum_{k=1}^{3} k")
    (True, False)
    """
    texts = undress(gold), undress(answer)
    letters = set(_LETTER.findall(" ".join(texts)))
    if any(letter.swapcase() in letters for letter in letters):
        # The reader takes "x" and "X" for one variable.
        return None
    return _same(*texts)


def _same(gold: str, answer: str) -> bool | None:
    from latex2sympy2_extended import latex2sympy
    from sympy import simplify

    try:
        values: list[Any] = [latex2sympy(text).doit() for text in (gold, answer)]
        difference = simplify(values[0] - values[1])
    except Exception:
        # The reader and sympy raise exceptions of many types for what they do not understand.
        return None
    if difference == 0:
        return True
    return False if difference.is_number and difference.is_nonzero else None
