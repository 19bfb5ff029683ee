"""The stage that searches problems: a run folder, gone on with where it was left."""

from contextlib import closing
from typing import Any

from rstar_fast.config import SearchConfig
from rstar_fast.data import difficulty, merged
from rstar_fast.errors import SearchError
from rstar_fast.evaluate.run import copies
from rstar_fast.evolve.context import Context, read_trees
from rstar_fast.evolve.groups import solved_by_group
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.search.engines import open_searcher
from rstar_fast.search.run import Totals, search_to_folder
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree


def search(context: Context) -> dict[str, Any]:
    """Search; the metrics are counts.

    Raises:
        SearchError: no problem could be searched to its end.
        RStarError: an engine is broken, the disk refuses.
    """
    options = context.stage.options
    config = SearchConfig.from_dict(options["search"])
    problems, left_out = _problems(context)
    totals = Totals()
    solved: list[tuple[str, bool]] = []

    def count(ended: Tree | Failure) -> None:
        totals.add(ended)
        if isinstance(ended, Tree):
            solved.append((ended.problem.id, ended.solved))

    with RunFolder.open(
        context.folder, {"stage": context.stage.name, "options": options}
    ) as folder:
        for tree in folder.trees():
            count(tree)
        if any(problem.key not in folder.done for problem in problems):
            with (
                open_searcher(
                    config,
                    context.model(options["policy"]) or "",
                    context.model(options["ppm"]),
                    workers=context.workers,
                    device=context.device,
                    dtype=context.config.dtype,
                    max_rows=context.config.max_rows,
                ) as searcher,
                closing(search_to_folder(searcher, problems, folder)) as run,
            ):
                for ended in run:
                    count(ended)
        failures = folder.failures()
    if problems and not totals.trees:
        raise SearchError(
            f"none of {len(problems)} problems could be searched; the first: {failures[0].reason if failures else ''}"
        )
    return {
        "problems": len(problems),
        "left_out": left_out,
        "trees": totals.trees,
        "failures": len(problems) - totals.trees,
        "solved": totals.solved,
        "solved_by_group": solved_by_group(solved),
        "nodes": totals.nodes,
        "generated_tokens": totals.generated_tokens,
    }


def _problems(context: Context) -> tuple[list[Problem], int]:
    options = context.stage.options
    problems, left_out = context.problems()
    if "difficulties" in options:
        classes = {
            tree.problem.id: difficulty(tree)
            for tree in merged(read_trees(context.run, options["over"]))
        }
        problems = [
            problem
            for problem in problems
            if classes.get(problem.id, "hard") in options["difficulties"]
        ]
    part, parts = options.get("part", (0, 1))
    problems = problems[part::parts]
    return list(copies(problems, options["copies"])) if "copies" in options else problems, left_out
