"""Views of trees and runs, as they are printed."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from trees import evil_tree, small_tree

from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.search.run import Totals
from rstar_fast.store import RunFolder
from rstar_fast.terminal_text import duration, one_line
from rstar_fast.viewer import clean, run_view, trajectory_view, tree_view


def printed(
    view: RenderableType | Iterator[RenderableType], width: int = 120, terminal: bool = False
) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=terminal,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for part in view if isinstance(view, Iterator) else [view]:
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def steers_terminal(text: str) -> bool:
    return any(
        (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 or char == "\u202e"
        for char in text
    )


def test_every_node_with_its_statistics() -> None:
    lines = printed(tree_view(small_tree())).splitlines()
    text = "\n".join(lines)
    assert "1*  Q +0.50  N 3  # Step 1: start with 2 apples" in text
    assert "3*  Q +0.50  N 2  ppm +0.50  print(apples)" in text
    assert "ok: 5" in text
    assert "4*  Q +0.90  N 1  ppm +0.90  answer 5, correct" in text
    assert "5  Q +0.10  N 1  ppm +0.10  answer 6, wrong" in text
    assert "6  Q -1.00  N 1  too many code errors  print(y)" in text
    assert "error: NameError: y" in text
    assert "expected  5" in text and "chosen    answer 5, correct" in text
    assert "6 nodes, 2 answers (1 correct), 1,234 tokens, 1.5 s" in text


def test_children_stand_below_their_parents() -> None:
    lines = printed(tree_view(small_tree())).splitlines()
    order = [
        next(i for i, line in enumerate(lines) if mark in line)
        for mark in ("1*  Q", "3*  Q", "4*  Q", "2  Q", "6  Q")
    ]
    assert order == sorted(order)


def test_depth_says_what_is_left_out() -> None:
    text = printed(tree_view(small_tree(), max_depth=1))
    assert "print(apples)" not in text
    assert "… 3 nodes below" in text and "… 1 node below" in text


def test_long_lines_are_cut_not_wrapped() -> None:
    tree = small_tree()
    tree.nodes[1].step = "<code>\n# " + "long " * 100
    lines = printed(tree_view(tree), width=60).splitlines()
    assert max(map(len, lines)) <= 60
    assert sum("long" in line for line in lines) == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_untrusted_text_is_spelt_out(terminal: bool) -> None:
    tree = evil_tree()
    for view in (tree_view(tree), trajectory_view(tree, 2)):
        text = printed(view, width=400, terminal=terminal)
        assert "\\x1b[31m[bold]red[/bold]" in text and ":smile:" in text
        if not terminal:
            assert not steers_terminal(text)
        assert "\x1b[31m[bold]" not in text and "\r" not in text and "\x07" not in text


def test_trajectory_is_the_solution_as_written() -> None:
    text = printed(trajectory_view(small_tree(), 4))
    assert (
        "<code>\n# Step 1: start with 2 apples\napples = 2\n<end_of_step>\nprint(apples)\n"
        "<end_of_code>\n<output>5<end_of_output>"
    ) in text
    assert text.rstrip().endswith("node 4: answer 5, correct")
    assert "node 3: not finished" in printed(trajectory_view(small_tree(), 3))


def test_a_tree_without_answers() -> None:
    tree = small_tree()
    del tree.nodes[4:]
    text = printed(tree_view(tree))
    assert "no answer was found" in text and "0 answers" in text


def test_run_table(tmp_path: Path) -> None:
    evil = evil_tree()
    with RunFolder.open(
        tmp_path / "run", {"policy": "p", "ppm": None, "search": {"c": 2.0, "strategy": "mcts"}}
    ) as folder:
        folder.append(small_tree("first"))
        folder.append(small_tree("second", answer="6"))
        folder.append(evil)
        folder.append(small_tree("copied", copy=3))
        folder.fail(Failure(Problem("third", "?", copy=1), "PolicyError", "too long\nby far"))
    text = printed(run_view(RunFolder.read(tmp_path / "run")))
    assert not steers_terminal(text)
    rows = {words[0]: words for words in map(str.split, text.splitlines()) if words}
    assert rows["first"] == ["first", "yes", "5", "5", "6", "1,234", "1.5"]
    assert rows["second"] == ["second", "yes", "5", "6", "6", "1,234", "1.5"]
    assert rows["copied#3"][1:] == rows["first"][1:]
    assert "third#1: PolicyError: too long by far" in text
    assert "c 2.0, strategy mcts" in text
    assert "4 searched, 1 failed" in text and "2 of 4 (50.0%)" in text


def test_an_empty_run(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "run", {"policy": "p"}).close()
    assert "0 searched, 0 failed" in printed(run_view(RunFolder.read(tmp_path / "run")))


def test_totals_leave_problems_without_answers_ungraded() -> None:
    totals = Totals()
    totals.add(small_tree())
    unknown = small_tree("other")
    unknown.problem = Problem("other", "?")
    totals.add(unknown)
    assert (
        totals.trees,
        totals.graded,
        totals.solved,
        totals.best_correct,
        totals.majority_correct,
    ) == (2, 1, 1, 1, 1)
    assert totals.generated_tokens == 2468


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\tb\nc", "a\tb\nc"), ("\x9b1m", "\\x9b1m"), ("\ud800", "\\ud800"), ("é≤", "é≤")],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_short_forms() -> None:
    assert one_line("a \n b" + "c" * 10, 8) == "a bcccc…"
    assert [duration(seconds) for seconds in (0, 61.9, 3661)] == ["0:00", "1:01", "1:01:01"]
