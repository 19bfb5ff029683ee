"""Groups of problems.

A problem's group is its id without the last number: the name of a file, a level or a source. Its
source is the entry of the configuration that it was read from, such as a domain.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rstar_fast.problems import read_problems


def solved_by_group(problems: Iterable[tuple[str, bool]]) -> dict[str, list[int]]:
    """Return [solved problems, problems] of each group, sorted by the groups' names.

    >>> solved_by_group([("train-L1-0", True), ("train-L2-0", False), ("train-L1-1", False)])
    {'train-L1': [1, 2], 'train-L2': [0, 1]}

    Args:
        problems: Id of each problem, and whether it is solved.
    """
    found = [(_group(problem_id), solved) for problem_id, solved in problems]
    num_solved = Counter(group for group, solved in found if solved)
    num_problems = Counter(group for group, _ in found)
    return {group: [num_solved[group], count] for group, count in sorted(num_problems.items())}


def sources_of(sources: Sequence[str]) -> dict[str, str]:
    """Return the short name of each problem's source, by the problem's id.

    A file's short name is that of the file, without its ending. Another source loses the numbers
    behind its name. Sources that would be called alike keep their whole names.

    >>> set(sources_of(["graded:held_out:1", "graded:reworded:1"]).values()) == {
    ...     "graded:held_out",
    ...     "graded:reworded",
    ... }
    True

    Raises:
        ProblemError: A source cannot be read.
    """
    short = [
        Path(source).stem if Path(source).is_file() else re.sub(r"(:\d+)+$", "", source)
        for source in sources
    ]
    names = [
        name if short.count(name) == 1 else source
        for name, source in zip(short, sources, strict=True)
    ]
    return {
        problem.id: name
        for name, source in zip(names, sources, strict=True)
        for problem in read_problems(source)
    }


def split_digest(text: str) -> bytes:
    """Return 8 bytes that a text alone decides, by which problems are split the same every time."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _group(problem_id: str) -> str:
    # The digits are matched from their first one only, or a long run would be tried from each.
    return re.sub(r"[-_/:#]?(?<!\d)\d+$", "", problem_id) or "all"
