"""The stage that makes training data of a round's trees."""

import hashlib
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
from rstar_fast.evolve.context import Context, read_trees
from rstar_fast.evolve.groups import solved_by_group
from rstar_fast.evolve.stage import fresh_folder
from rstar_fast.problems import read_sources
from rstar_fast.tree import Tree

_TRAJECTORIES = 2
"""Of a problem and round, for the outcome and Q models."""


def make_data(context: Context) -> dict[str, Any]:
    """Write `sft.jsonl`, `pairs.jsonl` (to train on), `held_out_pairs.jsonl`, `trajectories.jsonl` and `trl_pairs.jsonl`.

    Raises:
        DataError: no problem was solved, or nothing is preferred to anything.
    """
    config = context.config
    trees = merged(read_trees(context.run, context.stage.options["searches"]))
    synthetic = {problem.id for problem in read_sources(config.synthetic)}
    trusted = without_doubtful(trees, synthetic)
    solutions = sft_rows(trusted, config.solutions)
    doubtful = {tree.problem.id for tree in trees} - {tree.problem.id for tree in trusted}
    kept = _kept(context, doubtful.union(row["id"] for row in solutions))
    solutions += kept
    measured = {
        tree.problem.id
        for tree in trusted
        if _is_measured(tree, config.evaluate.held_out_pairs, config.seed)
    }
    pairs = all_pair_groups(trusted, config.pairs)
    groups = [group for group in pairs if group.problem.id not in measured]
    held_out = [group for group in pairs if group.problem.id in measured]
    with fresh_folder(context.folder) as folder:
        write_rows(folder / "sft.jsonl", solutions)
        write_rows(folder / "pairs.jsonl", [pair_group_row(group) for group in groups])
        write_rows(folder / "trl_pairs.jsonl", flat_pair_rows(groups))
        learnt = (tree for tree in trusted if tree.problem.id not in measured)
        write_rows(folder / "trajectories.jsonl", trajectory_rows(learnt, _TRAJECTORIES))
        if held_out:
            write_rows(
                folder / "held_out_pairs.jsonl", [pair_group_row(group) for group in held_out]
            )
    classes = Counter(map(difficulty, trees))
    return {
        "problems": len(trees),
        "solved": sum(tree.solved for tree in trees),
        "doubtful": len(doubtful),
        **{name: classes[name] for name in ("easy", "medium", "hard")},
        "solved_by_group": solved_by_group((tree.problem.id, tree.solved) for tree in trees),
        "sft_rows": len(solutions),
        "kept_rows": len(kept),
        "pairs": sum(len(group.pairs) for group in groups),
        "step_pairs": sum(len(group.pairs) for group in groups if group.kind == "step"),
        "held_out_pairs": sum(len(group.pairs) for group in held_out),
        "generated_tokens": sum(tree.counts.get("generated_tokens", 0) for tree in trees),
    }


def _kept(context: Context, but_of: set[str]) -> list[dict[str, Any]]:
    """Solutions of the round before, but for those of some problems."""
    before = context.stage.options.get("keep")
    return (
        [row for row in read_rows(context.run / before / "sft.jsonl") if row["id"] not in but_of]
        if before
        else []
    )


def _is_measured(tree: Tree, share: float, seed: int) -> bool:
    """Whether a problem's pairs only measure the PPM, as those of a share of all do; in every round the same."""
    digest = hashlib.blake2b(f"{seed} {tree.problem.id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
