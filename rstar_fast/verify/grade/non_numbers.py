"""Finding values in an answer that are not finite numbers, which comparisons often let pass.

NaN differs from every number by neither more nor less than a tolerance. Runs in clones.
"""

import math
import re
from typing import Any

_WORDS = re.compile(
    r"(?<![a-z])s?(?:nan|inf(?:inity|ty)?|oo|zoo)[ij]?(?![a-z])|\N{INFINITY}", re.IGNORECASE
)
_LITERAL = re.compile(r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?", re.IGNORECASE)


def holds_non_number(answer: str, accepted: str, question: str) -> bool:
    """Return whether an answer holds a value that is not finite, where a number is asked for.

    Evaluates the answer as Python, so it is called in a confined process only.

    Args:
        answer: Answer.
        accepted: Accepted answer. Without a digit in it, no number is asked for.
        question: Text of the problem. A word such as "infinity" in it may stand in answers too.
    """
    if not re.search(r"\d", accepted) or _WORDS.search(accepted):
        return False
    known = {word.lower() for word in _WORDS.findall(question)}
    if any(word.lower() not in known for word in _WORDS.findall(answer)):
        return True
    if any(math.isinf(float(literal)) for literal in _LITERAL.findall(answer)):
        return True
    try:
        value = eval(answer, {"__builtins__": {}})
    except Exception:
        return False
    return not _is_finite(value)


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, [*value.keys(), *value.values()]))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_finite, value))
    if isinstance(value, complex):
        return math.isfinite(value.real) and math.isfinite(value.imag)
    return not isinstance(value, float) or math.isfinite(value)
