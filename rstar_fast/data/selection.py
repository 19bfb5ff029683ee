"""Trajectories that the policy learns from (rStar-Math, sections 3.4 and 4.1)."""

from collections.abc import Iterable
from typing import Any

from rstar_fast.data.merging import merged
from rstar_fast.data.trajectories import Trajectory, trajectories
from rstar_fast.errors import DataError
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.tree import Tree

SOLUTIONS_PER_PROBLEM = 2
"""The paper's number of solutions of a problem that the policy learns from."""


def best_solutions(tree: Tree, count: int = SOLUTIONS_PER_PROBLEM) -> list[Trajectory]:
    """Return the right trajectories with the highest mean Q, best first.

    Ties go to the higher minimum Q, and then to the earlier trajectory. Trajectories with a failed
    program and repeated texts are left out.

    Args:
        tree: Search of the problem. Use `merge` on several searches first.
        count: Most trajectories returned.

    Raises:
        DataError: An answer was not graded.
    """
    right = (one for one in trajectories(tree) if one.correct and not one.failed_code)
    ranked = sorted(right, key=lambda one: (-one.mean_q, -one.min_q, one.node))
    distinct: dict[str, Trajectory] = {}
    for one in ranked:
        distinct.setdefault(one.text, one)
    return list(distinct.values())[:count]


def sft_rows(trees: Iterable[Tree], count: int = SOLUTIONS_PER_PROBLEM) -> list[dict[str, Any]]:
    """Return rows for supervised fine-tuning.

    A row has `prompt` and `completion`, as TRL reads them, and `id`, `mean_q` and `min_q`.

    Args:
        trees: Trees of a round, in any number per problem.
        count: Most solutions of a problem.

    Raises:
        DataError: No problem has a right trajectory without a failed program, or an answer was not
            graded.
    """
    problems = merged(trees)
    rows = [_row(one) for tree in problems for one in best_solutions(tree, count)]
    if not rows:
        ends = [one for tree in problems for one in trajectories(tree)]
        right = [one for one in ends if one.correct]
        raise DataError(
            f"no data to fine-tune a policy on: {len(problems)} problems with {len(ends)} "
            f"trajectories, of which {len(right)} are right and "
            f"{sum(not one.failed_code for one in right)} right without a failed program; "
            "easier problems, more rollouts or a better policy are needed"
        )
    return rows


def _row(one: Trajectory) -> dict[str, Any]:
    return {
        "id": one.problem.id,
        "prompt": finetuned_prompt(one.problem.question),
        "completion": one.text,
        "mean_q": one.mean_q,
        "min_q": one.min_q,
    }
