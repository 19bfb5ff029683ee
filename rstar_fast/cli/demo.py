"""`rstar-fast demo`: the real engine on tiny models, offline, before and after self-evolution."""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rstar_fast.cli.console import Exit
from rstar_fast.cli.progress import Progress
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, StoreError
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.search.run import Totals
from rstar_fast.tree import Tree

_ABOUT = """\
The models: transformers of 1.7 million parameters, trained from nothing on generated word problems of one kind (an amount that
changes in three to five dated events); they know no other mathematics and no English beyond these templates. The base was taught
the plainest wording of every event, and to guess at others. The rest came by self-evolution, {rounds} rounds of it: search solves
what it can, policy and PPM learn from the trees, and the better pair searches again. The problems below have six levels of wording,
from plain to idiomatic; none of them, under any names, was in training."""
_HOW = """\
Greedy writes the likeliest text. Search answers what the PPM scores best in the tree. Neither is told the right answer.
How the models are made again: python -m recipes.embedded.train_base, rstar-fast evolve --config recipes/embedded/evolve.toml,
python -m recipes.embedded.adopt."""

# Cooler than the searches that make data: those want mistakes to learn from.
SEARCH = SearchConfig(candidates=6, rollouts=8, temperature=0.5, max_depth=8, max_step_tokens=40)
GREEDY = SearchConfig.preset(
    "greedy", max_depth=SEARCH.max_depth, max_step_tokens=SEARCH.max_step_tokens
)
SHOWN_DEPTH = 4


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="search with the models in the package",
        description="The small models in the package on held-out generated problems: before self-evolution, after it, with search.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--problems", type=int, default=100, metavar="N", help="how many problems (100)"
    )
    parser.add_argument(
        "--json",
        metavar="F",
        help="write base_accuracy, policy_accuracy, search_accuracy and problems to this file",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console) -> int:
    """Solve the problems in three ways, print a table and one tree."""
    from rstar_fast.embedded import base_path, held_out_problems, origin
    from rstar_fast.search.engines import EMBEDDED, open_searcher

    if args.problems < 1:
        raise ConfigError(f"--problems: expected at least 1, got {args.problems}")
    rounds = origin()["round"]
    console.print(_ABOUT.format(rounds=rounds), soft_wrap=True)
    problems = held_out_problems(args.problems, seed=1)
    console.print("\nloading the models", soft_wrap=True)
    with (
        open_searcher(SEARCH, EMBEDDED, EMBEDDED) as searcher,
        open_searcher(GREEDY, base_path(), dtype="float32") as base,
        Searcher(
            searcher.policy, GREEDY, runner=searcher.runner, verifier=searcher.verifier
        ) as policy,
    ):
        ways = [
            _solve(console, "base, greedy", base, problems),
            _solve(console, f"after round {rounds}, greedy", policy, problems),
            _solve(console, f"after round {rounds}, search", searcher, problems),
        ]
    console.print(f"\n{_HOW}\n", soft_wrap=True)
    console.print(_table(ways))
    _show_a_tree(console, *ways[1:])
    if args.json:
        _write_json(Path(args.json), ways)
    return Exit.OK


@dataclass(slots=True)
class _Outcome:
    """One way to solve the problems, and how it went."""

    title: str
    num_problems: int
    trees: list[Tree]
    seconds: float

    @property
    def correct(self) -> list[Tree]:
        """The trees whose chosen answer is right."""
        return [tree for tree in self.trees if (best := tree.best()) and best.correct]


def _solve(console: Console, title: str, searcher: Searcher, problems: list[Problem]) -> _Outcome:
    totals, trees, started = Totals(), [], time.perf_counter()
    with Progress(console, searcher, totals, len(problems), title) as progress:
        for ended in searcher.search(problems):
            totals.add(ended)
            progress.note(ended)
            if isinstance(ended, Tree):
                trees.append(ended)
    console.print(progress.line(), soft_wrap=True)
    return _Outcome(title, len(problems), trees, time.perf_counter() - started)


def _table(ways: list[_Outcome]) -> Table:
    from rstar_fast.evaluate import Share

    head = ("", "correct", "accuracy [95% interval]", "tokens per problem", "seconds")
    table = Table(*head, box=None, pad_edge=False, header_style="bold")
    for way in ways:
        share = Share(len(way.correct), way.num_problems)
        tokens = (
            sum(tree.counts.get("generated_tokens", 0) for tree in way.trees) / way.num_problems
        )
        table.add_row(
            way.title,
            f"{share.successes} of {share.trials}",
            str(share),
            f"{tokens:,.0f}",
            f"{way.seconds:.1f}",
        )
    return table


def _show_a_tree(console: Console, greedy: _Outcome, search: _Outcome) -> None:
    """Of the problems that greedy got wrong and search got right, the one with the smallest tree."""
    from rstar_fast.viewer import trajectory_view, tree_view

    solved = {tree.problem.id for tree in greedy.correct}
    gained = [
        (tree, best)
        for tree in search.correct
        if tree.problem.id not in solved and (best := tree.best())
    ]
    if not gained:
        console.print("\nsearch got no problem right that greedy got wrong", soft_wrap=True)
        return
    tree, best = min(gained, key=lambda pair: (len(pair[0].nodes), pair[0].problem.id))
    console.print(
        "\none problem's tree, which greedy got wrong and search got right\n", style="bold"
    )
    console.print(tree_view(tree, SHOWN_DEPTH))
    console.print("\nthe solution that was chosen\n", style="bold")
    console.print(trajectory_view(tree, best.id), soft_wrap=True)


def _write_json(path: Path, ways: list[_Outcome]) -> None:
    names = ("base_accuracy", "policy_accuracy", "search_accuracy")
    record = {
        name: len(way.correct) / way.num_problems for name, way in zip(names, ways, strict=True)
    }
    try:
        path.write_text(
            json.dumps({**record, "problems": ways[0].num_problems}) + "\n", encoding="utf-8"
        )
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
