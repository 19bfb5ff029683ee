"""Groups of problems.

A problem's group is its id without the last number: the name of a file, a level or a source.
"""

import re
from collections import Counter
from collections.abc import Iterable


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


def _group(problem_id: str) -> str:
    # The digits are matched from their first one only, or a long run would be tried from each.
    return re.sub(r"[-_/:#]?(?<!\d)\d+$", "", problem_id) or "all"
