"""The command `rstar-fast show`: a run, a tree or a solution to read."""

import argparse
import json
from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rstar_fast.cli.console import Exit
from rstar_fast.errors import ConfigError, StoreError
from rstar_fast.tree import Node, Tree

if TYPE_CHECKING:
    from rstar_fast.store import RunFolder

DESCRIPTION = "Print a run, a tree or a solution."
_EPILOG = """\
examples:
  rstar-fast show RUN                             a table of the run
  rstar-fast show RUN gsm8k-7                     the whole tree of a problem
  rstar-fast show RUN gsm8k-7 --trajectory        the solution with the best score
  rstar-fast show RUN gsm8k-7 --trajectory 42     the solution up to node 42
"""
_MAX_IDS = 8


def epilog() -> str:
    """Return the text after the options."""
    return _EPILOG


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("folder", metavar="RUN", help="run folder; a process may be writing to it")
    add("id", metavar="ID", nargs="?", help="id of a problem whose tree is shown")
    add("--depth", type=int, metavar="D", help="show only the first D levels of the tree")
    add(
        "--trajectory",
        nargs="?",
        const="best",
        metavar="best|correct|NODE",
        help="print one solution: the best-scored one (default), the best correct one, or the one "
        "up to a node",
    )
    add(
        "--json",
        action="store_true",
        help="print the run's totals, or the tree, as one JSON object",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Print what was asked for."""
    from rstar_fast.store import RunFolder
    from rstar_fast.viewer import problem_view, run_view, trajectory_view, tree_view

    if args.id is None and (args.trajectory or args.depth is not None):
        raise ConfigError(
            "--trajectory and --depth show one problem: say which, as in "
            "`rstar-fast show RUN ID --trajectory`"
        )
    if args.depth is not None and args.depth < 1:
        raise ConfigError(f"--depth: expected at least 1, got {args.depth}")
    folder = RunFolder.read(args.folder)
    if args.json:
        _print_json(args, folder, console)
        return Exit.OK
    if args.id is None:
        for view in run_view(folder):
            console.print(view)
        return Exit.OK
    tree = _find(folder, args.id)
    if args.trajectory:
        node = _node(tree, args.trajectory)
        console.print(problem_view(tree), "", trajectory_view(tree, node), sep="\n", soft_wrap=True)
    else:
        console.print(tree_view(tree, args.depth))
    return Exit.OK


def _print_json(args: argparse.Namespace, folder: "RunFolder", console: Console) -> None:
    """Print the record of one tree, or the configuration, totals and failures of the run."""
    from rstar_fast.search.run import Totals
    from rstar_fast.store.records import failure_to_record, tree_to_record

    told: dict[str, Any]
    if args.id is not None:
        told = tree_to_record(_find(folder, args.id))
    else:
        totals = Totals()
        for tree in folder.summaries():
            totals.add(tree)
        failures = folder.failures()
        totals.failures = len(failures)
        told = {
            "config": folder.config,
            "totals": asdict(totals),
            "failures": [failure_to_record(one) for one in failures],
            "sessions": folder.sessions(),
        }
    console.print(json.dumps(told), soft_wrap=True)


def _find(folder: "RunFolder", problem_id: str) -> Tree:
    if problem_id in folder.done:
        return folder.tree(problem_id)
    for failure in folder.failures():
        if failure.problem.key == problem_id:
            raise StoreError(
                f"{folder.path}: problem {problem_id!r} has no tree: {failure.summary}"
            )
    ids = sorted(folder.done)
    close = get_close_matches(problem_id, ids, n=3)
    listed = f"{', '.join(ids[:_MAX_IDS])}{', ...' if len(ids) > _MAX_IDS else ''}" or "none"
    meant = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise StoreError(
        f"{folder.path}: no tree of a problem {problem_id!r}{meant or '.'} "
        f"It has {len(ids):,}: {listed}"
    )


def _node(tree: Tree, wanted: str) -> int:
    if wanted == "best":
        node = tree.best()
    elif wanted == "correct":
        node = _best_correct(tree)
    else:
        if not wanted.isdecimal() or not 0 < int(wanted) < len(tree.nodes):
            raise ConfigError(
                f"--trajectory: expected best, correct or a node in 1..{len(tree.nodes) - 1}, "
                f"got {wanted!r}"
            )
        return int(wanted)
    if node is None:
        missing = "correct answer" if wanted == "correct" else "answer"
        raise ConfigError(f"--trajectory {wanted}: problem {tree.problem.key!r} has no {missing}")
    return node.id


def _best_correct(tree: Tree) -> Node | None:
    correct = [node for node in tree.finals() if node.correct]
    return max(correct, key=lambda node: node.q if node.score is None else node.score, default=None)
