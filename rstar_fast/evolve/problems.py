"""Choosing the problems of a search."""

from rstar_fast.data import difficulty, merged
from rstar_fast.errors import ConfigError
from rstar_fast.evaluate.run import copies
from rstar_fast.evolve.config import EvolveConfig
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.folders import read_trees
from rstar_fast.evolve.stage import SearchStage
from rstar_fast.problems import Problem, read_sources


def problems_of(stage: SearchStage, context: Context) -> tuple[list[Problem], int]:
    """Return the problems that a stage searches, in order, and the number that was left out.

    A held-out problem is left out if a training problem has the same question.

    Raises:
        ProblemError: A source cannot be read.
        ConfigError: Two problems have one id, a problem has no answer, or nothing is held out.
        StoreError: The trees that decide how hard a problem is cannot be read.
    """
    problems, num_left_out = _listed(stage, context.config)
    if stage.difficulties is not None:
        trees = merged(read_trees(context.run, stage.over))
        classes = {tree.problem.id: difficulty(tree) for tree in trees}
        # A problem whose search failed has no tree: nobody solved it.
        problems = [one for one in problems if classes.get(one.id, "hard") in stage.difficulties]
    if stage.part is not None:
        part, num_parts = stage.part
        problems = problems[part::num_parts]
    if stage.copies is not None:
        problems = list(copies(problems, stage.copies))
    return problems, num_left_out


def _listed(stage: SearchStage, config: EvolveConfig) -> tuple[list[Problem], int]:
    """Return the checked problems of the stage's sources, and the number that was left out."""
    found = problems = read_sources(
        source for name in stage.problems for source in getattr(config, name)
    )
    if "held_out" in stage.problems:
        trained = {one.question for one in read_sources((*config.problems, *config.synthetic))}
        problems = [one for one in found if one.question not in trained]
        if not problems:
            raise ConfigError("held_out: expected problems that are no training problems, got none")
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise ConfigError(f"problem {problem.id!r}: expected ids that differ, got it twice")
        if not problem.answers:
            raise ConfigError(f"problem {problem.id!r}: expected an accepted answer, got none")
        seen.add(problem.id)
    return problems[: stage.first], len(found) - len(problems)
