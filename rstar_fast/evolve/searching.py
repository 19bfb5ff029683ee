"""The stage that searches problems into a run folder, which goes on where it was stopped."""

from contextlib import AbstractContextManager, ExitStack, closing
from typing import Any

from rstar_fast.errors import SearchError
from rstar_fast.evaluate.run import next_copies
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.folders import summaries_in
from rstar_fast.evolve.groups import solved_by_group
from rstar_fast.evolve.problems import problems_of
from rstar_fast.evolve.stage import SearchStage
from rstar_fast.failure import Failure
from rstar_fast.search import Searcher
from rstar_fast.search.engines import open_searcher
from rstar_fast.search.run import Totals, search_to_folder
from rstar_fast.store import RunFolder, TreeSummary
from rstar_fast.tree import Tree


def search(stage: SearchStage, context: Context) -> dict[str, Any]:
    """Search the problems of a stage that have no tree yet, and return counts.

    Raises:
        SearchError: No problem could be searched to its end.
        RStarError: An engine is broken, or the disk refuses.
    """
    problems, num_left_out = problems_of(stage, context)
    totals = Totals()
    solved: list[tuple[str, bool]] = []
    generated: dict[str, int] = {}

    def count(ended: TreeSummary | Failure) -> None:
        totals.add(ended)
        if isinstance(ended, TreeSummary):
            solved.append((ended.problem_id, ended.solved))
            generated[ended.id] = ended.tokens

    written = {"stage": stage.name, "options": stage.to_dict()}
    with RunFolder.open(context.run / stage.name, written) as folder, ExitStack() as engines:
        for summary in summaries_in(folder):
            count(summary)
        searcher: Searcher | None = None
        wanted, num_problems = problems, len(problems)
        tokens = {problem.id: stage.tokens or 0 for problem in problems}
        while wanted:
            if any(problem.key not in folder.done for problem in wanted):
                searcher = searcher or engines.enter_context(_open(stage, context))
                with closing(search_to_folder(searcher, wanted, folder)) as run:
                    for ended in run:
                        count(TreeSummary.of(ended) if isinstance(ended, Tree) else ended)
            wanted = next_copies(wanted, generated, tokens)
            num_problems += len(wanted)
        failures = folder.failures()
    if problems and not totals.trees:
        first = failures[0].reason if failures else "no reason was written"
        raise SearchError(f"none of {len(problems)} problems could be searched; the first: {first}")
    return {
        "problems": num_problems,
        "left_out": num_left_out,
        "trees": totals.trees,
        "failures": num_problems - totals.trees,
        "solved": totals.solved,
        "solved_by_group": solved_by_group(solved),
        "nodes": totals.nodes,
        "unsure": totals.unsure,
        "generated_tokens": totals.generated_tokens,
    }


def _open(stage: SearchStage, context: Context) -> AbstractContextManager[Searcher]:
    """Load the models of a stage."""
    policy = context.run / stage.policy if stage.policy_is_trained else stage.policy
    return open_searcher(
        stage.search,
        policy,
        context.run / stage.ppm if stage.ppm else None,
        workers=context.workers,
        device=context.device,
        dtype=context.config.dtype,
        max_rows=context.config.max_rows,
        require_isolation=not context.unconfined,
    )
