"""Tell from finished searches what stopping when sure saves, and how well sureness is calibrated.

    python -m recipes.stopping DIR [DIR ...]

Each DIR is a run folder of searches with known answers, as `search` of recipes.scaling or
`round-4/searches` of a self-evolution. Nothing is searched again. The first table says how often
leading answers of a given sureness are right, and how often they still lead at the end. The second
says, for thresholds, how many tokens are saved, what is solved, and the difference to searches that
never stop, problem by problem.
"""

import argparse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from recipes.measuring import markdown
from rstar_fast.evaluate import calibration, moments, paired, search_timeline, stopped_at
from rstar_fast.evaluate.run import by_problem
from rstar_fast.search.votes import sureness
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="run folders of searches")
    for folder in parser.parse_args().folders:
        print(f"\n{folder}\n\n{tables(by_problem(read(folder)))}")


def read(folder: Path) -> list[Tree]:
    """Return the trees of a run folder, sorted by the keys of their problems."""
    with closing(RunFolder.read(folder)) as run:
        return sorted(run.trees(), key=lambda tree: (tree.problem.id, tree.problem.copy or 0))


def tables(trees: dict[str, list[Tree]]) -> str:
    """Return the calibration and the savings as Markdown."""
    found = moments({key: search_timeline(ones) for key, ones in trees.items()}, sureness)
    totals = {
        key: sum(tree.counts["generated_tokens"] for tree in ones) for key, ones in trees.items()
    }
    calibrated = [
        [f"{low:g} to {high:g}", f"{right.trials:,}", str(right), str(stays)]
        for low, high, right, stays in calibration(found)
    ]
    whole = stopped_at(found, totals, 2.0)
    saved = [
        [
            f"{one.threshold:g}",
            f"{one.tokens:,.0f}",
            f"{100 * (1 - one.tokens / whole.tokens):.0f}",
            share(one.solved),
            str(paired(one.solved, whole.solved)),
            share(one.solved_by_best),
            str(paired(one.solved_by_best, whole.solved_by_best)),
        ]
        for one in (stopped_at(found, totals, threshold) for threshold in THRESHOLDS)
    ]
    never = ["never", f"{whole.tokens:,.0f}", "0"]
    saved.append([*never, share(whole.solved), "", share(whole.solved_by_best), ""])
    head = ["stop at", "tokens", "saved, %", f"weighted vote: solved of {len(found)}, %"]
    head += ["difference", "best-scored answer, %", "difference"]
    return "\n\n".join(
        [
            markdown(["sure of the leader", "moments", "leader is right", "stays"], calibrated),
            markdown(head, saved),
        ]
    )


def share(solved: Sequence[bool]) -> str:
    """Return the share of solved problems, in %."""
    return f"{100 * sum(solved) / len(solved):.1f}"


if __name__ == "__main__":
    main()
