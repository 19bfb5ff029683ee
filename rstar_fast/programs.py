"""Programs of steps, by which steps that do the same are found.

Two steps have the same program if their syntax trees are the same: comments, white space and
needless brackets do not count.
"""

import ast
import warnings
from hashlib import blake2b

from rstar_fast.marks import CODE, END_OF_ANSWER
from rstar_fast.marks.step_text import split_stop

MAX_CHARS = 1 << 13
"""Largest number of characters of a step that is parsed. A longer one counts as text."""
_FILE = "<step of a solution>"
_KEY_BYTES = 16

# The parser warns of string escapes that are none. A step is data here, and is not to blame.
warnings.filterwarnings("ignore", module=_FILE)


def program_key(step: str) -> bytes:
    r"""Return a key that two steps share if their programs are the same.

    The mark that ends a step counts. A step that is no program by itself (an answer, prose, the
    inside of a loop, nothing but comments) has the key of its text, without white space around it.
    The work is bounded: no text makes it slow or raises.

    >>> key = program_key("# Add\nx = 1+2\n<end_of_step>")
    >>> key == program_key("x = (1 + 2)  # a\n<end_of_step>")
    True
    >>> key == program_key("x = 3\n<end_of_step>")
    False

    Args:
        step: Text of a step, without its observation.
    """
    body, stop = split_stop(step)
    inner = body.strip()
    opens = inner.startswith(CODE)
    tree = _dump(body.strip("\n").removeprefix(CODE) if opens else body, stop)
    kind, content = ("text", inner) if tree is None else ("tree", tree)
    key = "\0".join((kind, stop, CODE if opens else "", content))
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


def _dump(code: str, stop: str) -> str | None:
    """Return the syntax tree of a program as text, or None if the text is no program."""
    if len(code) > MAX_CHARS or stop == END_OF_ANSWER:
        return None
    try:
        tree = ast.parse(code, _FILE)
        return ast.dump(tree) if tree.body else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
