"""Run folders and problem files, damaged in every way, and what the command line says of them."""

import io
import json
import os
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from typing import Any

from trees import evil_tree, odd_tree, small_tree

from rstar_fast.cli import main
from rstar_fast.errors import ProblemError
from rstar_fast.evolve.report import write_report
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem, load_problems
from rstar_fast.store import RunFolder
from rstar_fast.store.config_file import write_config, write_json

CONFIG = {"search": {"c": 2.0, "seed": 0}, "policy": "tiny", "ppm": None}
SESSION = {
    "ended": "done",
    "trees": 3,
    "failures": 1,
    "wall_s": 1.5,
    "resources": {"policy": {"requests": 3, "busy_s": 0.5, "mean_open": 1.5}},
}
ODD: list[Any] = [
    *(None, True, -1, 0, 2**63, 10**4000, -0.5, 1e308, float("inf"), float("nan")),
    *("", "x", "$x^$", "\x1b[31m", "\ud800", "[bold]", "_", "a" * 10_000, "\u202e"),
    *([], {}, [[]], {"id": 1}, [None], [0, 0], {"$x^$": [1, 2]}),
]
"""Values that stand for others, of the same type or not."""
SEARCH_FILES = ("trees.jsonl", "index.jsonl", "failures.jsonl", "sessions.jsonl", "config.json")
REPORT_FILES = (
    "config.json",
    "round-0/greedy/manifest.json",
    "round-1/data/manifest.json",
    "round-1/results/manifest.json",
)
_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


def make_run(path: Path) -> None:
    with RunFolder.open(path, CONFIG) as run:
        for tree in (odd_tree(), small_tree(), evil_tree()):
            run.append(tree)
        run.fail(Failure(Problem("c", "q"), "PolicyError", "gone"))
        run.end_session(SESSION)


def make_evolution(path: Path) -> None:
    """Make what a report reads of a self-evolution of one round."""
    groups = {"level-0": [3, 4], "level-1": [1, 4]}
    compared = {"problems": 8, "only_first": 2, "only_second": 1, "difference": 0.125}
    figures = {**compared, "interval": [-0.25, 0.5], "p_value": 1.0}
    accuracy = {"policy": [4, 8, 10.5], "search: weighted vote": [5, 8, 100]}
    metrics: list[dict[str, Any]] = [
        {"solved": 4, "trees": 8, "solved_by_group": groups},
        {"solved": 5, "problems": 8, "solved_by_group": groups, "sft_rows": 12, "pairs": 30},
        {
            "accuracy": accuracy,
            "policy_by_group": groups,
            "search_against_majority": "+12.5",
            "search_against_majority_figures": figures,
            "pairs": {"this round's": [20, 30], "likelihood": None},
        },
    ]
    for name, one in zip(REPORT_FILES[1:], metrics, strict=True):
        (path / name).parent.mkdir(parents=True)
        write_json(path / name, {"stage": name, "seconds": 60.5, "metrics": one})
    write_config(path, {"options": {"rounds": [{}]}, "files": {}})


def make_problems(path: Path) -> None:
    rows = [
        {"id": "a", "question": "What is 1?", "answer": 1},
        {"index": 7, "problem": "é", "answer": ["1/2", 0.5]},
        {"question": "open", "answer": None, "level": 3},
    ]
    path.mkdir()
    (path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "set.json").write_text(json.dumps(rows, indent=1))


def damaged(data: bytes, random: Random) -> bytes:
    """Return a file with one fault."""
    return random.choice((broken, with_odd_value))(data, random)


def broken(data: bytes, random: Random) -> bytes:
    """Return a file with a flipped bit, bytes that are missing or too many, or lines moved."""
    at = random.randrange(len(data))
    match random.randrange(5):
        case 0 | 1:
            return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        case 2:
            return data[:at]
        case 3:
            return data[:at] + random.randbytes(random.randrange(1, 9)) + data[at:]
        case _:
            lines = data.splitlines(keepends=True)
            return b"".join(random.choices(lines, k=len(lines)))


def with_odd_value(data: bytes, random: Random) -> bytes:
    """Return a file of JSON in which an odd value stands for another. Checksums are left out."""
    try:
        values = [json.loads(data)]
    except ValueError:
        values = [json.loads(line) for line in data.splitlines() if line.strip()]
    spots: list[tuple[Any, Any]] = []
    level = list(values)
    while level:
        inner = [
            (one, key)
            for one in level
            for key in (one if isinstance(one, dict) else range(len(one)))
        ]
        spots += inner
        level = [one[key] for one, key in inner if isinstance(one[key], dict | list)]
    for value in values:
        if isinstance(value, dict):
            value.pop("checksum", None)
    owner, key = random.choice([(one, key) for one, key in spots if key != "checksum"])
    odd = random.choice(ODD)
    match random.randrange(4):
        case 0 if isinstance(owner, dict):
            owner[str(odd)[:2000]] = owner.pop(key)
        case 1:
            del owner[key]
        case 2 if random.random() < 0.3:
            return json.dumps(values).replace("null", "[" * 5000 + "]" * 5000, 1).encode()
        case _:
            owner[key] = odd
    if len(values) == 1:
        return json.dumps(values[0], indent=2).encode() + b"\n"
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def shows_or_refuses(words: list[str], name: str) -> bool:
    """Run a command. It prints clean text, or one error that names the file.

    Returns:
        Whether it refused.
    """
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    assert "Traceback" not in err.getvalue()
    assert not _STEERS.search(out.getvalue()), out.getvalue()
    assert code in (0, 2)
    if code == 2:
        assert err.getvalue().startswith("rstar-fast: ") and name in err.getvalue(), err.getvalue()
        assert not _STEERS.search(err.getvalue()), err.getvalue()
    return code == 2


def fuzz(folder: Path, random: Random) -> bool:
    """Damage one file of a run, of an evolution, or of problems, and look at it.

    Returns:
        Whether the damage was named. If not, it could be shown as a valid value.
    """
    kind = random.choice(("run", "evolution", "problems"))
    good, copy = folder / kind, folder / "copy"
    if not good.exists():
        {"run": make_run, "evolution": make_evolution, "problems": make_problems}[kind](good)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(good, copy)
    names = {"run": SEARCH_FILES, "evolution": REPORT_FILES, "problems": ("set.jsonl", "set.json")}
    name = random.choice(names[kind])
    (copy / name).write_bytes(damaged((copy / name).read_bytes(), random))
    return {"run": _look_at_run, "evolution": _look_at_report, "problems": _look_at_problems}[kind](
        copy, name
    )


def _look_at_run(run: Path, name: str) -> bool:
    refused = [
        shows_or_refuses(["show", str(run), *words], str(run))
        for words in ([], ["--json"], ["p"], ["p-1", "--trajectory", "5"])
    ]
    shows_or_refuses(["show", str(run), "p", "--json"], str(run))
    return any(refused)


def _look_at_report(run: Path, name: str) -> bool:
    from rstar_fast.errors import StoreError

    try:
        pictures = write_report(run)
    except StoreError as error:
        assert os.fspath(run) in str(error)
        return True
    assert all(picture.stat().st_size for picture in pictures)
    return False


def _look_at_problems(folder: Path, name: str) -> bool:
    try:
        problems = load_problems(folder / name)
    except ProblemError as error:
        assert name in str(error)
        return True
    assert all(isinstance(text, str) for one in problems for text in (one.id, *one.answers))
    return False
