"""Grading: verdicts on known pairs, golds against restyled and other golds, grades per second.

    python bench/grade.py                            # the pairs of tests/data
    python bench/grade.py --golds FOLDER             # and every answer of FOLDER's JSON files

A file of FOLDER is a JSON list of objects with a key "answer". Prints one JSON object per line.
"""

import argparse
import json
import math
import random
import re
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rstar_fast import MathVerifier, Problem

PAIRS = Path(__file__).parents[1] / "tests/data/grading_pairs.jsonl"
_DECIMALS = re.compile(r"-?\d+\.\d{10,}(e[-+]\d+)?")

RESTYLINGS: dict[str, Callable[[str], str]] = {
    r"\dfrac": lambda gold: gold.replace(r"\frac", r"\dfrac"),
    r"\tfrac": lambda gold: gold.replace(r"\frac", r"\tfrac"),
    "$..$": lambda gold: f"${gold}$",
    r"\(..\)": lambda gold: rf"\({gold}\)",
    r"\[..\]": lambda gold: rf"\[{gold}\]",
    r"\bigl": lambda gold: gold.replace(r"\left", r"\bigl").replace(r"\right", r"\bigr"),
    "spaces": lambda gold: "  " + re.sub("([-+=<>])", r" \1 ", gold) + " ",
    "full stop": lambda gold: f"{gold}.",
    r"\displaystyle": lambda gold: rf"\displaystyle {gold}",
    r"\text": lambda gold: rf"\text{{{gold}}}",
    r"\boxed": lambda gold: rf"\boxed{{{gold}}}",
    r"no \left": lambda gold: re.sub(r"\\(left|right)(?![a-z])", "", gold),
}


def main() -> None:
    """Grade everything that the command line names, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="JSON lines of pairs")
    parser.add_argument("--golds", type=Path, help="folder of JSON files with answers")
    parser.add_argument("--cross", type=int, default=10_000, help="pairs of different golds a file")
    parser.add_argument("--limit", type=int, help="golds a file, drawn at random")
    parser.add_argument("--show", action="store_true", help="list the faults")
    options = parser.parse_args()
    with Grader() as grader:
        known_pairs(grader, options.pairs, options.show)
        for path in sorted(options.golds.glob("*.json")) if options.golds else ():
            golds = sorted({str(row["answer"]).strip() for row in json.loads(path.read_text())})
            draw = random.Random(0)
            if options.limit:
                golds = draw.sample(golds, min(options.limit, len(golds)))
            restyled_golds(grader, path.name, golds, options.show)
            long_decimals(grader, path.name, golds, options.show)
            other_golds(grader, path.name, golds, draw, options.cross, options.show)


class Grader:
    """A math verifier that counts what its answers took."""

    def __enter__(self) -> "Grader":
        self._verifier = MathVerifier(workers=1)
        return self

    def __exit__(self, *_: object) -> None:
        self._verifier.close()

    def grade(self, pairs: Iterable[tuple[str, str]]) -> tuple[list[Any], dict[str, Any]]:
        """Grade pairs of a gold and an answer. Returns the grades, and figures about them."""
        began, pids = time.perf_counter(), set(self._verifier.worker_pids())
        used = time.process_time()
        futures = [
            self._verifier.submit(Problem(str(i), "?", gold), answer)
            for i, (gold, answer) in enumerate(pairs)
        ]
        grades = [future.result() for future in futures]
        took = time.perf_counter() - began
        return grades, {
            "graded": len(grades),
            "per_second": round(len(grades) / took, 1),
            "main_process_cpu_s": round(time.process_time() - used, 3),
            "statuses": Counter(str(grade.status) for grade in grades),
            "unsure": sum(getattr(grade, "unsure", False) for grade in grades),
            "new_workers": len(set(self._verifier.worker_pids()) - pids),
        }


def known_pairs(grader: Grader, path: Path, show: bool) -> None:
    """Count wrong verdicts on pairs whose right verdict is known, by class."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    grader.grade([(r"\frac{1}{2}", r"\sqrt{2}")])
    grades, figures = grader.grade([(row["gold"], row["answer"]) for row in rows])
    passes: Counter[str] = Counter()
    fails: Counter[str] = Counter()
    for row, grade in zip(rows, grades, strict=True):
        if grade.correct and not row["correct"]:
            passes[row["class"]] += 1
        if row["correct"] and not grade.correct:
            fails[row["class"]] += 1
        if show and grade.correct != row["correct"]:
            kind = "false pass" if grade.correct else "false fail"
            report({kind: [row["gold"], row["answer"]], "class": row["class"], "by": repr(grade)})
    report(
        {
            "pairs": str(path.name),
            "false_passes": [sum(passes.values()), sum(not row["correct"] for row in rows)],
            "false_fails": [sum(fails.values()), sum(row["correct"] for row in rows)],
            "false_passes_by_class": passes,
            "false_fails_by_class": fails,
            **figures,
        }
    )


def restyled_golds(grader: Grader, name: str, golds: Sequence[str], show: bool) -> None:
    """Count golds that a restyling of themselves fails."""
    failures: Counter[str] = Counter()
    for style, restyle in {"as it stands": str, **RESTYLINGS}.items():
        grades, _ = grader.grade([(gold, restyle(gold)) for gold in golds])
        wrong = [gold for gold, grade in zip(golds, grades, strict=True) if not grade.correct]
        failures[style] = len(wrong)
        if show and wrong:
            report({"file": name, "restyling": style, "golds": wrong[:20]})
    report({"file": name, "golds": len(golds), "restyled_failures": failures})


def long_decimals(grader: Grader, name: str, golds: Sequence[str], show: bool) -> None:
    """Count golds whose long decimal, as Python prints it, is refused."""
    copied = [(gold, printed) for gold in golds if (printed := printed_value(gold))]
    grades, _ = grader.grade(copied)
    wrong = [pair for pair, grade in zip(copied, grades, strict=True) if not grade.correct]
    if show and wrong:
        report({"file": name, "refused": wrong[:20]})
    report({"file": name, "long_decimals": len(copied), "refused": len(wrong)})


def printed_value(gold: str) -> str | None:
    """Return what Python prints for a gold whose value has a long decimal, else None."""
    from latex2sympy2_extended import latex2sympy

    try:
        value = float(latex2sympy(gold))
    except Exception:
        return None
    return str(value) if math.isfinite(value) and _DECIMALS.fullmatch(str(value)) else None


def other_golds(
    grader: Grader, name: str, golds: Sequence[str], draw: random.Random, count: int, show: bool
) -> None:
    """Count golds that another problem's gold passes for. Some of these are truly equal."""
    pairs = [tuple(draw.sample(golds, 2)) for _ in range(count)] if len(golds) > 1 else []
    grades, figures = grader.grade(pairs)
    passed = sorted({pair for pair, grade in zip(pairs, grades, strict=True) if grade.correct})
    if show and passed:
        report({"file": name, "passed": passed})
    report({"file": name, "other_golds": len(pairs), "passed": len(passed), **figures})


def report(figures: dict[str, Any]) -> None:
    """Print figures as one line of JSON."""
    print(json.dumps(figures, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
