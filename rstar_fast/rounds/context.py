"""Where a stage finds what it needs."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rstar_fast.errors import ConfigError, ProblemError, StoreError
from rstar_fast.problems import Problem, load_problems
from rstar_fast.rounds.config import EvolveConfig
from rstar_fast.rounds.stage import Stage
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

    def problems(self) -> list[Problem]:
        """Those of the stage, in order.

        Raises:
            ProblemError: a file cannot be read.
            ConfigError: an id twice, or a problem without an answer.
        """
        problems = read_sources(source for name in self.stage.options["problems"] for source in getattr(self.config, name))
        seen: set[str] = set()
        for problem in problems:
            if problem.id in seen:
                raise ConfigError(f"problem {problem.id!r}: expected ids that differ, got it twice")
            if not problem.answers:
                raise ConfigError(f"problem {problem.id!r}: expected an accepted answer")
            seen.add(problem.id)
        return problems[: self.stage.options.get("first")]


def read_sources(sources: Iterable[str]) -> list[Problem]:
    """Problems of several sources, mixed so that the first N hold each source in proportion, and each in its own order.

    Raises:
        ProblemError: there is no such source.
    """
    found = map(read_problems, sources)
    placed = [(place / len(problems), problem) for problems in found for place, problem in enumerate(problems, 1)]
    return [problem for _, problem in sorted(placed, key=lambda pair: pair[0])]


def read_problems(source: str) -> list[Problem]:
    """Problems of a file, of a data set, or of the package's own: `graded:SPLIT:PER_LEVEL` (see `embedded.problems`).

    Raises:
        ProblemError: there is no such source.
    """
    kind, _, rest = source.partition(":")
    if kind != "graded":
        return load_problems(source)
    from rstar_fast.embedded.problems import Split, graded_problems

    split, _, per_level = rest.partition(":")
    splits = {name: name for name in get_args(Split)}
    if split not in splits or not per_level.isdecimal() or not int(per_level):
        raise ProblemError(f"{source}: expected graded:SPLIT:PER_LEVEL, SPLIT one of {', '.join(splits)}, as in graded:train:180")
    return [Problem(one.id, one.question, (one.answer,)) for one in graded_problems(splits[split], int(per_level))]


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
