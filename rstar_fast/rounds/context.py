"""Where a stage finds what it needs."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rstar_fast.errors import ConfigError, StoreError
from rstar_fast.problems import Problem, load_problems
from rstar_fast.rounds.config import EvolveConfig
from rstar_fast.rounds.stage import Stage
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree

COPY = "#"
"""Between a problem's id and the number of a search of it."""


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

    def problems(self) -> list[Problem]:
        """Those of the stage, in order.

        Raises:
            ProblemError: a file cannot be read.
            ConfigError: an id twice, or one that ends like ours, or a problem without an answer.
        """
        sources = (getattr(self.config, name) for name in self.stage.options["problems"])
        problems = [problem for source in sources if source for problem in load_problems(source)]
        seen: set[str] = set()
        for problem in problems:
            if problem.id in seen or COPY in problem.id:
                raise ConfigError(f"problem {problem.id!r}: expected ids that differ, without {COPY!r}")
            if not problem.answers:
                raise ConfigError(f"problem {problem.id!r}: expected an accepted answer")
            seen.add(problem.id)
        return problems[: self.stage.options.get("first")]


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
            trees += sorted(folder.trees(), key=lambda tree: tree.problem.id)
    return trees
