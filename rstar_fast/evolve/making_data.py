"""The stage that makes training data of a round's trees."""

from collections import Counter
from typing import Any

from rstar_fast.data import (
    all_pair_groups,
    difficulty,
    flat_pair_rows,
    merged,
    pair_group_row,
    read_rows,
    sft_rows,
    trajectory_rows,
    without_doubtful,
    write_rows,
)
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.folders import fresh_folder, read_trees
from rstar_fast.evolve.groups import solved_by_group, split_digest
from rstar_fast.evolve.stage import DataStage
from rstar_fast.problems import read_sources
from rstar_fast.tree import Tree


def make_data(stage: DataStage, context: Context) -> dict[str, Any]:
    """Write the rows to learn from, and return counts.

    The files are `sft.jsonl` (solutions), `pairs.jsonl` (pairs to train on), `trl_pairs.jsonl`
    (those of whole solutions, for TRL), `held_out_pairs.jsonl` (pairs to measure by) and
    `trajectories.jsonl`. Of `trl_pairs.jsonl` and `held_out_pairs.jsonl` there is none where it
    would have no row. Problems whose pairs measure are in none of the others, in any round.

    Raises:
        DataError: No problem was solved, or no step is preferred to another.
        StoreError: The trees cannot be read, or the disk refuses.
    """
    config = context.config
    trees = merged(read_trees(context.run, stage.searches))
    synthetic = {problem.id for problem in read_sources(config.synthetic)}
    trusted = without_doubtful(trees, synthetic)
    doubtful = {tree.problem.id for tree in trees} - {tree.problem.id for tree in trusted}
    measured = {
        tree.problem.id
        for tree in trees
        if is_measured(tree, config.evaluate.held_out_pairs, config.seed)
    }
    learnt = [tree for tree in trusted if tree.problem.id not in measured]
    solutions = sft_rows(learnt, config.solutions)
    solved_now = {row["id"] for row in solutions}
    kept = _kept_solutions(stage, context, doubtful | solved_now | measured)
    pairs = all_pair_groups(trusted, config.pairs)
    groups = [group for group in pairs if group.problem.id not in measured]
    held_out = [group for group in pairs if group.problem.id in measured]
    with fresh_folder(context.run / stage.name) as folder:
        write_rows(folder / "sft.jsonl", solutions + kept)
        write_rows(folder / "pairs.jsonl", [pair_group_row(group) for group in groups])
        write_rows(folder / "trajectories.jsonl", trajectory_rows(learnt, config.trajectories))
        for name, rows in (
            ("trl_pairs.jsonl", flat_pair_rows(groups)),
            ("held_out_pairs.jsonl", [pair_group_row(group) for group in held_out]),
        ):
            if rows:
                write_rows(folder / name, rows)
    classes = Counter(map(difficulty, trees))
    return {
        "problems": len(trees),
        "solved": sum(tree.solved for tree in trees),
        "doubtful": len(doubtful),
        **{name: classes[name] for name in ("easy", "medium", "hard")},
        "solved_by_group": solved_by_group((tree.problem.id, tree.solved) for tree in trees),
        "sft_rows": len(solutions) + len(kept),
        "kept_rows": len(kept),
        "pairs": sum(len(group.pairs) for group in groups),
        "step_pairs": sum(len(group.pairs) for group in groups if group.kind == "step"),
        "held_out_pairs": sum(len(group.pairs) for group in held_out),
        "generated_tokens": sum(tree.counts.get("generated_tokens", 0) for tree in trees),
    }


def _kept_solutions(stage: DataStage, context: Context, excluded: set[str]) -> list[dict[str, Any]]:
    """Return the solutions of the previous round, without those of the excluded problem ids."""
    if stage.keep is None:
        return []
    rows = read_rows(context.run / stage.keep / "sft.jsonl")
    return [row for row in rows if row["id"] not in excluded]


def is_measured(tree: Tree, share: float, seed: int) -> bool:
    """Return whether a problem's pairs measure the PPM, and nothing learns from it.

    A hash of the seed and the problem's id decides, so that every round measures on the same
    problems.
    """
    return int.from_bytes(split_digest(f"{seed} {tree.problem.id}"), "big") < share * 2**64
