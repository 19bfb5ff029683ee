"""Whether two steps have the same program, by their syntax trees."""

import ast
import hashlib
import warnings

from rstar_fast.marks import CODE, END_OF_ANSWER
from rstar_fast.marks.step_text import split_stop

LONGEST = 20_000
"""Number of characters of a step above which its text alone is compared."""

StepForm = str | tuple[str, bool, bytes]
"""A value that is equal for steps that count as the same: a text, or what a program is known by."""


def program_form(step: str, in_code: bool) -> StepForm:
    r"""Return a value that is equal for steps whose programs differ in layout and comments alone.

    A step that is no code, that is no whole Python by itself, or that is very long or deeply nested
    has the same form only as a step of the same text.

    Args:
        step: Text of a step.
        in_code: Whether a `<code>` before the step is still open.

    >>> one = program_form("\n# 2 apples\nx = 2<end_of_step>", in_code=True)
    >>> one == program_form("\nx=2  # apples\n<end_of_step>", in_code=True)
    True
    >>> one == program_form("\nx = 2.0<end_of_step>", in_code=True)
    False
    """
    if len(step) > LONGEST:
        return step
    body, stop = split_stop(step)
    opened = body.lstrip().startswith(CODE)
    if stop == END_OF_ANSWER or not (opened or in_code):
        return step
    try:
        with warnings.catch_warnings():
            # A strange escape in a string is the policy's affair.
            warnings.simplefilter("ignore")
            program = ast.dump(ast.parse(body.lstrip().removeprefix(CODE) if opened else body))
        digest = hashlib.blake2b(program.encode(), digest_size=16).digest()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return step
    return stop, opened, digest
