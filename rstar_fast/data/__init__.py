"""Training data that is made of finished trees.

Nothing here needs torch. The models are trained by `rstar_fast.training`.
"""

from rstar_fast.data.difficulty import (
    Difficulty,
    SearchAgain,
    difficulty,
    searches_again,
    share_correct,
    without_doubtful,
)
from rstar_fast.data.files import read_rows, write_rows
from rstar_fast.data.merging import merge, merged
from rstar_fast.data.pair_rules import PAPER, RELEASED, PairRules
from rstar_fast.data.pairs import PairGroup, all_pair_groups, pair_groups
from rstar_fast.data.reference_trees import read_reference_trees, write_reference_trees
from rstar_fast.data.rows import (
    flat_pair_rows,
    group_of_row,
    pair_group_row,
    trajectory_rows,
)
from rstar_fast.data.selection import best_solutions, sft_rows
from rstar_fast.data.trajectories import Trajectory, trajectories

__all__ = [
    "PAPER",
    "RELEASED",
    "Difficulty",
    "PairGroup",
    "PairRules",
    "SearchAgain",
    "Trajectory",
    "all_pair_groups",
    "best_solutions",
    "difficulty",
    "flat_pair_rows",
    "group_of_row",
    "merge",
    "merged",
    "pair_group_row",
    "pair_groups",
    "read_reference_trees",
    "read_rows",
    "searches_again",
    "sft_rows",
    "share_correct",
    "trajectories",
    "trajectory_rows",
    "without_doubtful",
    "write_reference_trees",
    "write_rows",
]
