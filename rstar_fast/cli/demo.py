"""The command `rstar-fast demo`: the real engine on tiny models."""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

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

HELP = "search with the models in the package"
DESCRIPTION = (
    "Solve held-out generated problems with the small models in the package: before "
    "self-evolution, after it, and by search."
)
_ABOUT = """\
The models are transformers of 1.7 million parameters, trained from scratch on one kind of generated
word problem: an amount that changes in three to five dated events. They know no other mathematics,
and no English beyond these templates. The base learned the plainest wording of every event, and to
guess at others. The rest came from {rounds} rounds of self-evolution: search solves what it can,
policy and PPM learn from the trees, and the better pair searches again. The problems below have six
levels of wording, from plain to idiomatic. None of them was in training, under any names."""
_HOW = """\
Greedy writes the likeliest text. Search answers what the PPM scores best in the tree. Neither is
told the right answer. To make the models again, see recipes/README.md in the repository."""

# Cooler than the searches that make training data, which want mistakes to learn from.
SEARCH = SearchConfig(candidates=6, rollouts=8, temperature=0.5, max_depth=8, max_step_tokens=40)
GREEDY = SearchConfig.preset(
    "greedy", max_depth=SEARCH.max_depth, max_step_tokens=SEARCH.max_step_tokens
)
SHOWN_DEPTH = 4


def epilog() -> str:
    """Return the text after the options."""
    return ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("--problems", type=int, default=100, metavar="N", help="number of problems (100)")
    add(
        "--json",
        metavar="F",
        help="write base_accuracy, policy_accuracy, search_accuracy and problems to this file",
    )


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
    """Outcome of one way to solve the problems."""

    title: str
    num_problems: int
    trees: list[Tree]
    seconds: float

    @property
    def correct(self) -> list[Tree]:
        """Trees whose chosen answer is right."""
        return [tree for tree in self.trees if (best := tree.best()) and best.correct]


def _solve(console: Console, title: str, searcher: Searcher, problems: list[Problem]) -> _Outcome:
    totals, trees, started = Totals(), [], time.perf_counter()
    with Progress(console, searcher, totals, len(problems), title=title) as progress:
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
    """Print the smallest tree of a problem that greedy got wrong and search got right."""
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
