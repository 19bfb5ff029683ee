"""Where a stage finds what it needs."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rstar_fast.errors import ConfigError, StoreError
from rstar_fast.evolve.config import EvolveConfig
from rstar_fast.evolve.stage import Stage
from rstar_fast.problems import Problem, read_sources
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree


@dataclass(frozen=True, slots=True)
class Context:
    """A stage to be done, and what is around it.

    Attributes:
        run: the folder of the self-evolution.
        config: of it.
        stage: to be done.
        device: of the models; None for a GPU where there is one.
        workers: processes that run programs; None for one per core.
    """

    run: Path
    config: EvolveConfig
    stage: Stage
    device: str | None = None
    workers: int | None = None

    @property
    def folder(self) -> Path:
        """Of the stage."""
        return self.run / self.stage.name

    def model(self, name: str | None) -> str | None:
        """The folder of a stage that trained a model; any other name as it is."""
        return str(self.run / name) if name in self.stage.needs else name

    def problems(self) -> tuple[list[Problem], int]:
        """Those of the stage, in order; and how many held-out ones were left out, as their questions are training problems'.

        Raises:
            ProblemError: a file cannot be read.
            ConfigError: an id twice, a problem without an answer, or nothing is held out.
        """
        names = self.stage.options["problems"]
        found = problems = read_sources(
            source for name in names for source in getattr(self.config, name)
        )
        if "held_out" in names:
            trained = {
                problem.question
                for problem in read_sources((*self.config.problems, *self.config.synthetic))
            }
            problems = [problem for problem in found if problem.question not in trained]
            if not problems:
                raise ConfigError(
                    "held_out: expected problems that are no training problems, got none"
                )
        seen: set[str] = set()
        for problem in problems:
            if problem.id in seen:
                raise ConfigError(f"problem {problem.id!r}: expected ids that differ, got it twice")
            if not problem.answers:
                raise ConfigError(f"problem {problem.id!r}: expected an accepted answer")
            seen.add(problem.id)
        return problems[: self.stage.options.get("first")], len(found) - len(problems)


def read_trees(run: Path, stages: Iterable[str]) -> list[Tree]:
    """The trees of finished searches, by stage and in the order of their problems' ids (in the folder they are as they ended).

    Raises:
        StoreError: a run folder cannot be read.
    """
    trees = []
    for name in stages:
        if not (run / name).is_dir():
            raise StoreError(f"{run / name}: expected the trees of a search")
        with closing(RunFolder.read(run / name)) as folder:
            trees += sorted(folder.trees(), key=lambda tree: tree.problem.key)
    return trees
