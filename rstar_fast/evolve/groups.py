"""Problems by group: what an id says without its last number, such as a file, a level, a source."""

import re
from collections import Counter
from collections.abc import Iterable


def solved_by_group(problems: Iterable[tuple[str, bool]]) -> dict[str, list[int]]:
    """Count the solved problems of each group, and all of them.

    >>> solved_by_group([("train-L1-0", True), ("train-L2-0", False), ("train-L1-1", False)])
    {'train-L1': [1, 2], 'train-L2': [0, 1]}

    Args:
        problems: id, and whether it is solved.
    """
    found = [(_group(problem_id), solved) for problem_id, solved in problems]
    solved_of = Counter(group for group, solved in found if solved)
    return {
        group: [solved_of[group], count]
        for group, count in sorted(Counter(group for group, _ in found).items())
    }


def _group(problem_id: str) -> str:
    return re.sub(r"[-_/:#]?\d+$", "", problem_id) or "all"
