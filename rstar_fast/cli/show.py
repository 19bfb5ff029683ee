"""`rstar-fast show`: a run, a tree or a solution to read."""

import argparse
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rstar_fast.cli.console import Exit
from rstar_fast.errors import ConfigError, StoreError
from rstar_fast.tree import Node, Tree

if TYPE_CHECKING:
    from rstar_fast.store import RunFolder

_EPILOG = """\
examples:
  rstar-fast show RUN                             a table of the run
  rstar-fast show RUN gsm8k-7                     the whole tree of a problem
  rstar-fast show RUN gsm8k-7 --trajectory        the solution with the best score
  rstar-fast show RUN gsm8k-7 --trajectory 42     the solution up to node 42
"""
_MAX_IDS = 8


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "show",
        help="print a run, a tree or a solution",
        description="Print a run, a tree or a solution.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("folder", metavar="RUN", help="a run folder; it may be written to meanwhile")
    add("id", metavar="ID", nargs="?", help="a problem's id: show its tree")
    add("--depth", type=int, metavar="D", help="show only the first D levels of the tree")
    add(
        "--trajectory",
        nargs="?",
        const="best",
        metavar="best|correct|NODE",
        help="print one solution: the one with the best score (default), the best correct one, or the one up to a node",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console) -> int:
    """Print what was asked for."""
    from rstar_fast.store import RunFolder
    from rstar_fast.viewer import problem_view, run_view, trajectory_view, tree_view

    if args.id is None and (args.trajectory or args.depth is not None):
        raise ConfigError(
            "--trajectory and --depth show one problem: say which, as in `rstar-fast show RUN ID --trajectory`"
        )
    if args.depth is not None and args.depth < 1:
        raise ConfigError(f"--depth: expected at least 1, got {args.depth}")
    folder = RunFolder.read(args.folder)
    if args.id is None:
        console.print(run_view(folder))
        return Exit.OK
    tree = _find(folder, args.id)
    if args.trajectory:
        node = _node(tree, args.trajectory)
        console.print(problem_view(tree), "", trajectory_view(tree, node), sep="\n", soft_wrap=True)
    else:
        console.print(tree_view(tree, args.depth))
    return Exit.OK


def _find(folder: "RunFolder", problem_id: str) -> Tree:
    for tree in folder.trees():
        if tree.problem.key == problem_id:
            return tree
    for failure in folder.failures():
        if failure.problem.key == problem_id:
            raise StoreError(f"{folder.path}: problem {problem_id!r} has no tree: {failure.reason}")
    ids = sorted(folder.done)
    close = get_close_matches(problem_id, ids, n=3)
    listed = f"{', '.join(ids[:_MAX_IDS])}{', ...' if len(ids) > _MAX_IDS else ''}" or "none"
    meant = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise StoreError(
        f"{folder.path}: no tree of a problem {problem_id!r}{meant or '.'} It has {len(ids):,}: {listed}"
    )


def _node(tree: Tree, wanted: str) -> int:
    if wanted == "best":
        node = tree.best()
    elif wanted == "correct":
        node = _best_correct(tree)
    else:
        if not wanted.isdecimal() or not 0 < int(wanted) < len(tree.nodes):
            raise ConfigError(
                f"--trajectory: expected best, correct or a node in 1..{len(tree.nodes) - 1}, got {wanted!r}"
            )
        return int(wanted)
    if node is None:
        raise ConfigError(
            f"--trajectory {wanted}: problem {tree.problem.id!r} has no {'correct ' * (wanted == 'correct')}answer"
        )
    return node.id


def _best_correct(tree: Tree) -> Node | None:
    correct = [node for node in tree.finals() if node.correct]
    return max(correct, key=lambda node: node.q if node.score is None else node.score, default=None)
