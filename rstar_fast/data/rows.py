"""Training data as rows of plain values."""

from collections.abc import Iterable, Sequence
from typing import Any

from rstar_fast.data.merging import merged
from rstar_fast.data.pairs import PairGroup
from rstar_fast.data.trajectories import Trajectory, trajectories
from rstar_fast.errors import DataError
from rstar_fast.marks import unescape
from rstar_fast.problems import Problem
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.tree import Tree

DataRow = dict[str, Any]


def pair_group_row(group: PairGroup) -> DataRow:
    """Return a group of pairs as a row. The PPM is trained on such rows.

    The row keeps siblings together with their prefix. `group_of_row` turns it back into a group.
    """
    return {
        "id": group.problem.id,
        "question": group.problem.question,
        "kind": group.kind,
        "prefix": list(group.prefix),
        "chosen": [list(steps) for steps in group.chosen],
        "rejected": [list(steps) for steps in group.rejected],
        "chosen_q": list(group.chosen_q),
        "rejected_q": list(group.rejected_q),
        "chosen_logprob": list(group.chosen_logprob),
        "rejected_logprob": list(group.rejected_logprob),
        "pairs": [list(pair) for pair in group.pairs],
        "prefix_observations": list(group.prefix_observations),
        "chosen_observations": [list(one) for one in group.chosen_observations],
        "rejected_observations": [list(one) for one in group.rejected_observations],
    }


def group_of_row(row: DataRow) -> PairGroup:
    """Return the group of a row. Its problem has no answers, as the row does not keep them.

    Args:
        row: Row of `pair_group_row`.

    Raises:
        DataError: The row is of another kind.
    """
    try:
        return PairGroup(
            problem=Problem(row["id"], row["question"]),
            kind=row["kind"],
            prefix=tuple(row["prefix"]),
            chosen=tuple(map(tuple, row["chosen"])),
            rejected=tuple(map(tuple, row["rejected"])),
            chosen_q=tuple(row["chosen_q"]),
            rejected_q=tuple(row["rejected_q"]),
            chosen_logprob=tuple(row["chosen_logprob"]),
            rejected_logprob=tuple(row["rejected_logprob"]),
            pairs=tuple((int(i), int(j)) for i, j in row["pairs"]),
            # Older rows have no observations.
            prefix_observations=tuple(row.get("prefix_observations", ())),
            chosen_observations=tuple(map(tuple, row.get("chosen_observations", ()))),
            rejected_observations=tuple(map(tuple, row.get("rejected_observations", ()))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "expected a row of preference pairs (see `pair_group_row`): "
            f"{type(error).__name__}: {error}"
        ) from error


def flat_pair_rows(groups: Iterable[PairGroup], steps: bool = False) -> list[DataRow]:
    """Return one row for every pair of whole solutions, as TRL's DPOTrainer reads them.

    A row has `prompt`, `chosen` and `rejected`, the pair's `weight` in the loss, and the difference
    `q_gain` of Q. TRL looks at the first three. Pairs with a text that only spells a mark are left
    out, as a trainer that reads plain text would learn the backslash of its escaped form.

    Args:
        groups: Groups of pairs.
        steps: Whether there are rows of pairs of steps too. They are only for trainers that append
            nothing. TRL appends the end of a text, from which a policy learns to stop behind a
            step.
    """
    rows = [
        {
            "id": group.problem.id,
            "prompt": finetuned_prompt(group.problem.question) + "".join(group.prefix),
            "chosen": "".join(group.chosen[i]),
            "rejected": "".join(group.rejected[j]),
            "weight": group.weight,
            # Not `margin`: TRL's RewardTrainer takes a column of that name into its loss.
            "q_gain": group.chosen_q[i] - group.rejected_q[j],
        }
        for group in groups
        if steps or group.kind == "trajectory"
        for i, j in group.pairs
    ]
    return [row for row in rows if not _is_escaped(row)]


def _is_escaped(row: DataRow) -> bool:
    return any(unescape(row[key]) != row[key] for key in ("prompt", "chosen", "rejected"))


def trajectory_rows(trees: Iterable[Tree], per_problem: int | None = None) -> list[DataRow]:
    """Return one row for every trajectory, right or wrong.

    Outcome models are trained on `correct`, and value models on `qs`.

    Args:
        trees: Trees in any number per problem.
        per_problem: Most rows of a problem, >= 1. They are spread over the whole tree, and half of
            them are right and half wrong if there are enough of both. None for all.

    Raises:
        DataError: An answer was not graded.
    """
    by_problem = (trajectories(tree) for tree in merged(trees))
    return [
        _trajectory_row(one)
        for found in by_problem
        for one in (found if per_problem is None else _balanced(found, per_problem))
    ]


def _balanced(found: Sequence[Trajectory], most: int) -> list[Trajectory]:
    right, wrong = [one for one in found if one.correct], [one for one in found if not one.correct]
    num_right = min(len(right), max(most - len(wrong), (most + 1) // 2))
    return _spread(right, num_right) + _spread(wrong, most - num_right)


def _spread(found: Sequence[Trajectory], most: int) -> list[Trajectory]:
    """Return at most `most` trajectories, evenly spaced."""
    count = min(most, len(found))
    return [found[i * len(found) // count] for i in range(count)]


def _trajectory_row(one: Trajectory) -> DataRow:
    return {
        "id": one.problem.id,
        "question": one.problem.question,
        "steps": list(one.steps),
        "qs": list(one.qs),
        "answer": one.answer,
        "correct": one.correct,
        "logprobs": list(one.logprobs),
        "observations": list(one.observations),
    }
