"""The grammar of solutions: marks, steps and final answers (rStar-Math, section 3.2).

A solution begins with `<code>` and steps of code. Each step ends with `<end_of_step>`, and the last
one with `<end_of_code>`. The observation follows between `<output>` and `<end_of_output>`. Then
comes `<answer>`, a sentence with a boxed answer, and `<end_of_answer>`.
"""

from dataclasses import dataclass

CODE = "<code>"
END_OF_STEP = "<end_of_step>"
END_OF_CODE = "<end_of_code>"
OUTPUT = "<output>"
END_OF_OUTPUT = "<end_of_output>"
ANSWER = "<answer>"
END_OF_ANSWER = "<end_of_answer>"

MARKS = (CODE, END_OF_STEP, END_OF_CODE, OUTPUT, END_OF_OUTPUT, ANSWER, END_OF_ANSWER)
STOP_MARKS = (END_OF_STEP, END_OF_CODE, END_OF_ANSWER)
"""Marks that end a candidate. It ends after the first of them."""

_BOXED = "boxed"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a solution.

    Attributes:
        text: Characters of the piece.
        token_ids: Token ids that the policy sampled for exactly this text. None if the policy did
            not write it (an observation), or if its tokens spell more than the text (a stop mark
            inside a token).
    """

    text: str
    token_ids: tuple[int, ...] | None = None


def closes_code(step: str) -> bool:
    """Return whether a step ends its code block."""
    return END_OF_CODE in step


def ends_answer(step: str) -> bool:
    """Return whether a step ends the whole solution."""
    return step.rstrip().endswith(END_OF_ANSWER)


def observation_suffix(observation: str) -> str:
    """Return the text that is appended to a step that closed its block, once it ran."""
    return f"\n{OUTPUT}{observation}{END_OF_OUTPUT}"


def has_final_answer(step: str) -> bool:
    """Return whether a step gives a final answer: whether it contains "boxed"."""
    return _BOXED in step


def final_answer(step: str) -> str:
    r"""Return the content of the last `\boxed{...}` of a step, with matched braces.

    The content is "" if there is no box, or if it is never closed.

    >>> final_answer(r"so it is $\boxed{\frac{1}{2}}$.")
    '\\frac{1}{2}'
    >>> final_answer(r"\boxed 7 apples")
    '7'
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
