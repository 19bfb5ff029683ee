"""The command `rstar-fast demo`: the real engine on tiny models."""

import argparse
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from rstar_fast.cli.console import Exit
from rstar_fast.cli.loading import loading
from rstar_fast.cli.progress import Progress
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, StoreError
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.search.run import Totals
from rstar_fast.tree import Tree

if TYPE_CHECKING:
    from rstar_fast.evaluate import Paired

DESCRIPTION = (
    "Solve held-out generated problems with the small models in the package: before "
    "self-evolution, after it, by samples and by search."
)
_ABOUT = """\
The models are transformers of 2.1 million parameters, trained from scratch on three kinds of
generated problems: dated events, puzzles of numbers, and equations. They know no other mathematics,
and no English beyond these templates. The base learned the easy end of each kind. The rest came
from {rounds} rounds of self-evolution: search solves what it can, policy and PPM learn from the
trees, and the better pair searches again. The problems below are puzzles of three numbers, and
equations of five levels. None of them was in training. Dated events are left out: nothing in
them tells a wrong answer from a right one, and search gains nothing there (docs/evolution.md)."""
_HOW = """\
Greedy writes the likeliest text. Search answers what the PPM scores best in the tree. Majority and
best of the PPM choose among the greedy solution and independent samples of the same policy; each
problem has as many generated tokens for them as its search took. None is told the right answer. To
make the models again, see recipes/README.md in the repository."""

# What is searched, and how. Whoever adopts other models chooses both again, on other problems.
NUM_PROBLEMS = 100
SEED = 1
LEVELS = {"countdown": (3,), "equations": (0, 1, 2, 3, 4)}
SEARCH = SearchConfig.preset(
    "widening",
    candidates=64,
    rollouts=1000,
    widening_exponent=0.7,
    c=0.3,
    greedy_first=True,
    without_repetition=True,
    coverage=0.8,
    max_depth=8,
    max_step_tokens=56,
    max_tokens=263,
    max_active=512,
)
GREEDY = SearchConfig.preset(
    "greedy", max_depth=SEARCH.max_depth, max_step_tokens=SEARCH.max_step_tokens
)
SAMPLES_AT_ONCE = 6
SHOWN_DEPTH = 4


def epilog() -> str:
    """Return the text after the options."""
    return ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add(
        "--problems",
        type=int,
        default=NUM_PROBLEMS,
        metavar="N",
        help=f"number of problems ({NUM_PROBLEMS})",
    )
    add(
        "--json",
        metavar="F",
        help="write greedy_accuracy, equal_tokens_accuracy (the better of majority and best-of-N "
        "by the PPM at the search's tokens), search_accuracy, problems and more to this file",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Solve the problems in every way, print a table and one tree."""
    from rstar_fast.embedded import base_path, origin
    from rstar_fast.search.engines import open_searcher
    from rstar_fast.search.naming import EMBEDDED

    if args.problems < 1:
        raise ConfigError(f"--problems: expected at least 1, got {args.problems}")
    rounds = origin()["round"]
    console.print(_ABOUT.format(rounds=rounds), soft_wrap=True)
    problems = _problems(args.problems)
    console.print("\nloading the models", soft_wrap=True)
    after = f"after round {rounds}"
    with ExitStack() as stack:
        with loading():
            searcher = stack.enter_context(open_searcher(SEARCH, EMBEDDED, EMBEDDED))
            base = stack.enter_context(open_searcher(GREEDY, base_path(), dtype="float32"))
        policy = stack.enter_context(_same_engines(searcher, GREEDY.with_changes(use_scores=True)))
        sampler = stack.enter_context(_same_engines(searcher, _samples()))
        before = _solve(console, "base, greedy", base, problems)
        greedy = _solve(console, f"{after}, greedy", policy, problems)
        search = _solve(console, f"{after}, search", searcher, problems)
        samples = _sample(console, f"{after}, samples", sampler, greedy, search)
    console.print(f"\n{_HOW}\n", soft_wrap=True)
    ways = [before, greedy, *samples, search]
    console.print(_table(ways))
    better = max(samples, key=lambda way: way.num_correct)
    console.print()
    for other in (greedy, better):
        compared = _compare(search, other)
        console.print(compared.sentence("search", _short(other)), soft_wrap=True)
    _show_a_tree(console, greedy, search)
    if args.json:
        _write_json(Path(args.json), before, greedy, better, search)
    return Exit.OK


def _samples() -> SearchConfig:
    """Return the configuration that draws independent samples, which the PPM scores."""
    from rstar_fast.evaluate import independent

    return independent(SEARCH, SAMPLES_AT_ONCE).with_changes(use_scores=True)


def _problems(count: int) -> list[Problem]:
    """Return problems of each domain in turn, that no model was trained on."""
    from rstar_fast.embedded.domains import DOMAINS

    of_domains = [
        DOMAINS[name].first("held_out", count, SEED, levels) for name, levels in LEVELS.items()
    ]
    return [problem for turn in zip(*of_domains, strict=False) for problem in turn][:count]


@dataclass(slots=True)
class _Outcome:
    """Outcome of one way to solve the problems.

    Attributes:
        title: Name of the way.
        solved: Whether each problem's answer is right, by the problem's id.
        tokens: Mean number of tokens generated per problem.
        seconds: Time that it took.
        trees: Trees of the problems that did not fail.
    """

    title: str
    solved: dict[str, bool]
    tokens: float
    seconds: float
    trees: list[Tree]

    @property
    def num_correct(self) -> int:
        """Number of problems whose answer is right."""
        return sum(self.solved.values())

    @property
    def accuracy(self) -> float:
        """Share of problems whose answer is right."""
        return self.num_correct / len(self.solved)


def _same_engines(searcher: Searcher, config: SearchConfig) -> Searcher:
    scorer = searcher.scorer if config.use_scores else None
    return Searcher(
        searcher.policy, config, scorer, runner=searcher.runner, verifier=searcher.verifier
    )


def _solve(console: Console, title: str, searcher: Searcher, problems: list[Problem]) -> _Outcome:
    totals, trees, started = Totals(), [], time.perf_counter()
    with Progress(console, searcher, totals, len(problems), title=title) as progress:
        for ended in searcher.search(problems):
            totals.add(ended)
            progress.note(ended)
            if isinstance(ended, Tree):
                trees.append(ended)
    console.print(progress.line(), soft_wrap=True)
    solved = {problem.id: False for problem in problems}
    solved |= {tree.problem.id: bool((best := tree.best()) and best.correct) for tree in trees}
    tokens = sum(tree.counts.get("generated_tokens", 0) for tree in trees) / len(problems)
    return _Outcome(title, solved, tokens, time.perf_counter() - started, trees)


def _sample(
    console: Console, title: str, searcher: Searcher, greedy: _Outcome, search: _Outcome
) -> list[_Outcome]:
    """Choose in two ways among samples, the first of which is greedy.

    Each problem's samples have as many tokens together as its search took.
    """
    from rstar_fast.evaluate import best, known_by, tree_timeline, unscored, vote
    from rstar_fast.evaluate.run import by_problem, next_copies

    tokens = {tree.problem.id: tree.counts["generated_tokens"] for tree in search.trees}
    wanted = [replace(tree.problem, copy=0) for tree in search.trees]
    trees: list[Tree] = []
    seconds = 0.0
    while wanted:
        drawn = _solve(console, title, searcher, wanted)
        seconds += drawn.seconds
        trees += drawn.trees
        generated = {tree.problem.key: tree.counts["generated_tokens"] for tree in trees}
        wanted = next_copies(wanted, generated, tokens)
    trees.sort(key=lambda tree: tree.problem.copy or 0)
    pool = {
        problem_id: known_by(tree_timeline(of_one), tokens[problem_id])
        for problem_id, of_one in by_problem([*greedy.trees, *trees]).items()
        if problem_id in tokens
    }
    spent = sum(one.tokens for samples in pool.values() for one in samples) / len(search.solved)
    outcomes = []
    for name in ("majority", "best of the PPM"):
        solved = dict.fromkeys(search.solved, False)
        for problem_id, samples in pool.items():
            chosen = vote(unscored(samples)) if name == "majority" else best(samples)
            solved[problem_id] = bool(chosen and chosen.correct)
        outcomes.append(
            _Outcome(f"{title.replace('samples', name)}", solved, spent, seconds, trees)
        )
    return outcomes


def _compare(first: _Outcome, second: _Outcome) -> "Paired":
    """Compare two ways problem by problem."""
    from rstar_fast.evaluate import paired

    return paired(list(first.solved.values()), [second.solved[key] for key in first.solved])


def _short(way: _Outcome) -> str:
    return way.title.rpartition(", ")[2]


def _table(ways: list[_Outcome]) -> Table:
    from rstar_fast.evaluate import Share

    head = ("", "correct", "accuracy [95% interval]", "tokens per problem", "seconds")
    table = Table(*head, box=None, pad_edge=False, header_style="bold")
    for way in ways:
        share = Share(way.num_correct, len(way.solved))
        table.add_row(
            way.title,
            f"{share.successes} of {share.trials}",
            str(share),
            f"{way.tokens:,.0f}",
            f"{way.seconds:.1f}",
        )
    return table


def _show_a_tree(console: Console, greedy: _Outcome, search: _Outcome) -> None:
    """Print the smallest tree of a problem that greedy got wrong and search got right."""
    from rstar_fast.viewer import trajectory_view, tree_view

    gained = [
        (tree, best)
        for tree in search.trees
        if search.solved[tree.problem.id]
        and not greedy.solved[tree.problem.id]
        and (best := tree.best())
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


def _write_json(
    path: Path, base: _Outcome, greedy: _Outcome, equal: _Outcome, search: _Outcome
) -> None:
    record = {
        "greedy_accuracy": greedy.accuracy,
        "equal_tokens_accuracy": equal.accuracy,
        "search_accuracy": search.accuracy,
        "problems": len(search.solved),
        "base_accuracy": base.accuracy,
        "equal_tokens_way": _short(equal),
        "greedy_tokens": greedy.tokens,
        "equal_tokens": equal.tokens,
        "search_tokens": search.tokens,
    }
    try:
        path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
