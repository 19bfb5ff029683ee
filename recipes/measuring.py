"""Parts that the recipes share: models of a run, searches in folders, and budgets of tokens."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rstar_fast.config import SearchConfig
from rstar_fast.evaluate import independent, rescored_samples, search_timeline, solve
from rstar_fast.evaluate.measured import Solves, scored_sample_methods
from rstar_fast.evaluate.timelines import Timelines
from rstar_fast.evolve import EvolveConfig
from rstar_fast.evolve.groups import sources_of
from rstar_fast.evolve.plan import greedy_search
from rstar_fast.ppm import PPM, PackedScorer, Scorer
from rstar_fast.problems import Problem, read_sources
from rstar_fast.search import Searcher
from rstar_fast.search.engines import open_searcher
from rstar_fast.store import RunFolder
from rstar_fast.store.config_file import read_config
from rstar_fast.tree import Tree
from rstar_fast.verify.grade.by_source import SourceVerifier

PER_DRAW = 32
"""Samples of a problem that are drawn at once."""
SCORERS = ("ppm", "orm", "pqm")


@dataclass(frozen=True)
class Round:
    """The models of one round of a self-evolution, and problems to measure them on.

    Attributes:
        folder: Folder of the round.
        number: Number of the round.
        config: Configuration of the self-evolution.
        problems: Held-out problems.
        groups: Name of the source of each problem, by its id.
        workers: Number of processes that run programs. None for one per core.
    """

    folder: Path
    number: int
    config: EvolveConfig
    problems: list[Problem]
    groups: dict[str, str]
    workers: int | None = None

    def search(
        self,
        out: Path,
        how: SearchConfig,
        problems: Sequence[Problem],
        tokens: Mapping[str, int] | None = None,
        scorer: Scorer | None = None,
    ) -> dict[str, list[Tree]]:
        """Return the trees of every problem, which are kept in a folder.

        Stopped or killed, the same call goes on. Where scores are used, they are those of `scorer`,
        or of the round's PPM if that is None.
        """
        ppm = self.folder / "ppm" if how.use_scores and scorer is None else None
        config = self.config
        with (
            RunFolder.open(out, {"search": how.to_dict(), "problems": len(problems)}) as folder,
            open_searcher(
                how if scorer is None else how.with_changes(use_scores=False),
                self.folder / "policy",
                ppm,
                workers=self.workers,
                dtype=config.dtype,
                max_rows=config.max_rows,
            ) as searcher,
        ):
            if scorer is not None:
                runner, verifier = searcher.runner, searcher.verifier
                searcher = Searcher(searcher.policy, how, scorer, runner=runner, verifier=verifier)
            return solve(searcher, problems, 1, folder, tokens)

    def searches(
        self,
        out: Path,
        how: SearchConfig,
        problems: Sequence[Problem],
        budget: int,
        scorer: Scorer | None = None,
    ) -> Timelines:
        """Return the answers of searches until each problem has generated its budget.

        See `search` for `scorer`.
        """
        tokens = {problem.id: budget for problem in problems}
        trees = self.search(out, how, problems, tokens, scorer)
        return {key: search_timeline(of_one) for key, of_one in trees.items()}

    def samples(
        self, out: Path, problems: Sequence[Problem], budget: int, per_draw: int = PER_DRAW
    ) -> dict[str, list[Tree]]:
        """Return independent samples until each problem has generated its budget.

        Args:
            out: Folder of their trees.
            problems: Problems to solve.
            budget: Number of tokens for each problem.
            per_draw: Number of samples of a problem that are drawn at once.
        """
        how = independent(self.config.evaluate.search, per_draw)
        return self.search(out, how, problems, {problem.id: budget for problem in problems})

    def sample_methods(
        self, out: Path, problems: Sequence[Problem], budget: int, per_draw: int = PER_DRAW
    ) -> dict[str, tuple[Timelines, Solves]]:
        """Return the ways to choose among samples, the greedy solution among them or not.

        The scores are those of each of the round's models. See `samples`.
        """
        pool = self.samples(out / "samples", problems, budget, per_draw)
        greedy = self.search(out / "greedy", greedy_search(self.config, self.number), problems)
        scored = {}
        with SourceVerifier() as verifier:
            for name in SCORERS:
                if (self.folder / name).exists():
                    scorer = PackedScorer(PPM.from_pretrained(self.folder / name))
                    scored[name] = (
                        rescored_samples(greedy, scorer, verifier),
                        rescored_samples(pool, scorer, verifier),
                    )
        return scored_sample_methods(scored)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which models solve which problems."""
    add = parser.add_argument
    add("run", type=Path, help="folder of the self-evolution")
    add("--out", type=Path, required=True, help="folder to write to")
    add("--round", type=int, default=4, help="round of the models (4)")
    add("--problems", type=int, help="number of held-out problems, from all sources (all)")
    add("--held-out", nargs="+", help="sources of the problems (those of the run)")
    add("--threads", type=int, default=1, help="threads of torch (1)")
    add("--workers", type=int, default=1, help="processes that run programs (1)")


def open_round(args: argparse.Namespace) -> Round:
    """Return the models and the problems that the options name."""
    torch.set_num_threads(args.threads)
    config = EvolveConfig.from_dict(read_config(args.run)["options"])
    sources = args.held_out or config.held_out
    problems = read_sources(sources)[: args.problems]
    args.out.mkdir(parents=True, exist_ok=True)
    return Round(
        args.run / f"round-{args.round}",
        args.round,
        config,
        problems,
        sources_of(sources),
        args.workers,
    )


def halves(problems: Sequence[Problem], groups: Mapping[str, str]) -> tuple[list[Problem], ...]:
    """Return problems to choose on, and problems to report on: every second of each source."""
    seen: dict[str, int] = {}
    sides: tuple[list[Problem], list[Problem]] = ([], [])
    for problem in problems:
        number = seen.get(groups[problem.id], 0)
        seen[groups[problem.id]] = number + 1
        sides[number % 2].append(problem)
    return sides


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
