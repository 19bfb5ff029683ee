"""The grammar of solutions: marks, steps and final answers (rStar-Math, section 3.2).

A solution begins with `<code>` and steps of code. Each step ends with `<end_of_step>`, and the last
one with `<end_of_code>`. The observation follows between `<output>` and `<end_of_output>`. Then
comes `<answer>`, a sentence with a boxed answer, and `<end_of_answer>`.
"""

import re
from dataclasses import dataclass

from rstar_fast.boxes import boxed, has_box
from rstar_fast.marks import (
    ANSWER,
    CODE,
    END_OF_ANSWER,
    END_OF_CODE,
    END_OF_OUTPUT,
    END_OF_STEP,
    MARKS,
    OUTPUT,
    STOP_MARKS,
    escape,
    unescape,
)
from rstar_fast.marks.python_text import COMMENT, LITERAL
from rstar_fast.marks.step_text import outer_marks, split_stop

_BOXED = "boxed"
_NO_PROSE = re.compile(f"{LITERAL}|{COMMENT}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a solution.

    Attributes:
        text: Characters of the piece. What only spells a mark is escaped in it, see `marks`.
        token_ids: Token ids that the policy sampled for exactly this text. None if the policy did
            not write it (an observation), or if its tokens spell more than the text (a stop mark
            inside a token).
    """

    text: str
    token_ids: tuple[int, ...] | None = None


def closes_code(step: str) -> bool:
    """Return whether a step ends its code block."""
    if END_OF_CODE not in step:
        return False
    body, stop = split_stop(step)
    return stop == END_OF_CODE or any(outer_marks(body, (END_OF_CODE,), in_code=True))


def ends_answer(step: str) -> bool:
    """Return whether a step ends the whole solution."""
    return step.rstrip().endswith(END_OF_ANSWER)


def observation_suffix(observation: str) -> str:
    """Return the text that is appended to a step that closed its block, once it ran."""
    return f"\n{OUTPUT}{escape(observation)}{END_OF_OUTPUT}"


def has_final_answer(step: str, in_code: bool = False) -> bool:
    r"""Return whether a step gives a final answer: whether its answer part has a box.

    The answer part is what stands behind `<answer>`, or behind the code block. In a step of code it
    is what cannot be Python: what stands outside literals and comments. A box is a `\boxed` or a
    `\fbox`.

    Args:
        step: Text of the step.
        in_code: Whether a `<code>` before the step is still open.

    >>> has_final_answer(r"It is $\boxed{7}$."), has_final_answer("boxed = 7\n<end_of_step>")
    (True, False)
    """
    return answer_of(step, in_code) is not None


def final_answer(step: str, in_code: bool = False) -> str:
    r"""Return what `answer_of` does, and "" where there is no box.

    >>> final_answer(r"so it is $\boxed{\frac{1}{2}}$.")
    '\\frac{1}{2}'
    >>> final_answer(r"\boxed 7 apples and \fbox{8} pears")
    '7, 8'
    """
    return answer_of(step, in_code) or ""


def answer_of(step: str, in_code: bool = False) -> str | None:
    """Return what the boxes in the answer part of a step hold, see `has_final_answer`.

    Several boxes are joined by commas. The answer is "" if all are empty or never closed, and None
    if there is no box.
    """
    if "box" not in step:
        return None
    part = _answer_part(step, in_code)
    return unescape(boxed(part)) if has_box(part) else None


def names_box(step: str) -> bool:
    """Return whether a step gives a final answer by the released rule: it contains "boxed"."""
    return _BOXED in step


def answer_of_last_box(step: str) -> str:
    r"""Return the final answer by the released rule: what follows the last "boxed" of a step.

    It is "" if the braces there are never closed.

    >>> answer_of_last_box(r"\boxed{1} and \boxed 2")
    '2'
    """
    start = step.rfind(_BOXED)
    if start < 0:
        return ""
    rest = step[start + len(_BOXED) :].lstrip()
    if not rest.startswith("{"):
        word = rest.split("<", 1)[0].split("$", 1)[0].split()
        return word[0] if word else ""
    depth = 0
    for i, char in enumerate(rest):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return rest[1:i].strip()
    return ""


def _answer_part(step: str, in_code: bool) -> str:
    """Return the part of a step in which a box is an answer."""
    body, stop = split_stop(step)
    is_code = stop in (END_OF_STEP, END_OF_CODE) or (in_code and stop != END_OF_ANSWER)
    start = 0
    for mark in outer_marks(body, (CODE, END_OF_CODE, END_OF_OUTPUT, ANSWER), in_code):
        start, is_code = mark.end(), mark[0] == CODE
        if mark[0] == ANSWER:
            return body[start:].partition(END_OF_ANSWER)[0]
    return _NO_PROSE.sub(" ", body[start:]) if is_code else body[start:]


__all__ = [
    "ANSWER",
    "CODE",
    "END_OF_ANSWER",
    "END_OF_CODE",
    "END_OF_OUTPUT",
    "END_OF_STEP",
    "MARKS",
    "OUTPUT",
    "STOP_MARKS",
    "Segment",
    "answer_of",
    "answer_of_last_box",
    "closes_code",
    "ends_answer",
    "final_answer",
    "has_final_answer",
    "names_box",
    "observation_suffix",
]
