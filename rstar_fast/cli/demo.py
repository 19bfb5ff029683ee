"""`rstar-fast demo`: the real engine on a tiny model, offline."""

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
The model: two transformers of 1.4 million parameters each, trained from nothing on generated word problems of one kind (an
amount that changes in two or three dated steps). They know nothing else: no other mathematics, no English beyond these
templates. The policy has a bad habit on purpose (it often swaps plus and minus in the code of a right comment), so that there
is something for search to mend; the PPM has learnt to tell right steps from wrong ones. They show the engine at work on a real
model, not the worth of a method. The problems below are of the same kind; their texts were held out of training."""
_RULE = "Greedy writes the likeliest text. Search answers what the PPM scores best in the tree; neither is told the right answer."

_SHARED = {"max_depth": 10, "max_step_tokens": 96}
GREEDY = SearchConfig.preset("greedy", **_SHARED)
SEARCH = SearchConfig.preset("fast", temperature=0.6, **_SHARED)
SHOWN_DEPTH = 4


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="search with the model in the package",
        description="Compare greedy decoding and search on held-out generated problems, with the small model in the package.",
        allow_abbrev=False,
    )
    parser.add_argument("--problems", type=int, default=100, metavar="N", help="how many problems (100)")
    parser.add_argument("--json", metavar="F", help="write greedy_accuracy, search_accuracy and problems to this file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console) -> int:
    """Search the problems twice, print both accuracies and one tree."""
    from rstar_fast.embedded import held_out_problems
    from rstar_fast.search.engines import EMBEDDED, open_searcher
    from rstar_fast.viewer import trajectory_view, tree_view

    if args.problems < 1:
        raise ConfigError(f"--problems: expected at least 1, got {args.problems}")
    console.print(_ABOUT, soft_wrap=True)
    problems = held_out_problems(args.problems, seed=1)
    console.print("\nloading the models", soft_wrap=True)
    with open_searcher(SEARCH, EMBEDDED, EMBEDDED) as searcher:
        plain = Searcher(searcher.policy, GREEDY, runner=searcher.runner, verifier=searcher.verifier)
        greedy = _search(console, "greedy", plain, problems)
        search = _search(console, "search", searcher, problems)

    failed = {problem.id for problem in problems} - {tree.problem.id for tree in greedy.correct}
    gained = [tree for tree in search.correct if tree.problem.id in failed]
    shown = next(iter([*gained, *search.correct, *search.trees]), None)
    if shown is not None:
        console.print("\none problem's tree" + (", which greedy got wrong" if shown in gained else "") + "\n", style="bold")
        console.print(tree_view(shown, SHOWN_DEPTH))
        best = shown.best()
        if best is not None:
            console.print("\nthe solution that was chosen\n", style="bold")
            console.print(trajectory_view(shown, best.id), soft_wrap=True)
    console.print(f"\n{_RULE}\n", soft_wrap=True)
    console.print(_table(greedy, search, len(problems)))
    if args.json:
        _write_json(Path(args.json), greedy, search, len(problems))
    return Exit.OK


@dataclass(slots=True)
class _Outcome:
    """One way to solve the problems, and how it went."""

    title: str
    trees: list[Tree]
    seconds: float

    @property
    def correct(self) -> list[Tree]:
        """The trees whose chosen answer is right."""
        return [tree for tree in self.trees if (best := tree.best()) and best.correct]


def _search(console: Console, title: str, searcher: Searcher, problems: list[Problem]) -> _Outcome:
    totals, outcome, started = Totals(), _Outcome(title, [], 0.0), time.perf_counter()
    with Progress(console, searcher, totals, len(problems), title) as progress:
        for ended in searcher.search(problems):
            totals.add(ended)
            progress.note(ended)
            if isinstance(ended, Tree):
                outcome.trees.append(ended)
    console.print(progress.line(), soft_wrap=True)
    outcome.seconds = time.perf_counter() - started
    return outcome


def _table(greedy: _Outcome, search: _Outcome, num_problems: int) -> Table:
    table = Table("", "correct", "accuracy", "tokens", "seconds", box=None, pad_edge=False, header_style="bold")
    for outcome in (greedy, search):
        correct = len(outcome.correct)
        tokens = sum(tree.counts.get("generated_tokens", 0) for tree in outcome.trees)
        share = f"{correct / num_problems:.1%}"
        table.add_row(outcome.title, f"{correct} of {num_problems}", share, f"{tokens:,}", f"{outcome.seconds:.1f}")
    return table


def _write_json(path: Path, greedy: _Outcome, search: _Outcome, num_problems: int) -> None:
    record = {
        "greedy_accuracy": len(greedy.correct) / num_problems,
        "search_accuracy": len(search.correct) / num_problems,
        "problems": num_problems,
    }
    try:
        path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
