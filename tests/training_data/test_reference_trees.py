"""Tree files in the format of the released code, written and read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from data_trees import GOLDEN
from golden import golden_lines
from replay import search_record
from trees import evil_tree, small_tree

from rstar_fast.data import (
    all_pair_groups,
    merge,
    read_reference_trees,
    sft_rows,
    trajectory_rows,
    write_reference_trees,
)
from rstar_fast.errors import DataError, ProblemError
from rstar_fast.problems import Problem
from rstar_fast.tree import Tree
from rstar_fast.verify import MathVerifier


def told(tree: Tree) -> list[Any]:
    """Return what the format keeps of a tree's nodes."""
    return [
        replace(node, id_bytes=b"", exact=True, finish="mark", id=0, parent=0)
        for node in tree.nodes
    ]


def test_a_tree_comes_back(tmp_path: Path) -> None:
    trees = [GOLDEN, small_tree(), evil_tree()]
    trees[1].nodes[1].token_ids, trees[1].nodes[1].logprobs = (1, 2), (-0.5, -1.0)
    assert write_reference_trees(tmp_path / "trees.jsonl", trees) == 3
    back = read_reference_trees(tmp_path / "trees.jsonl")
    for tree, again in zip(trees, back, strict=True):
        assert again.problem == tree.problem
        by_depth = merge([tree])
        assert told(again) == told(by_depth)
        assert [node.parent for node in again.nodes] == [node.parent for node in by_depth.nodes]


def test_trees_read_back_give_the_same_data(tmp_path: Path) -> None:
    # In searches replayed from the reference, nodes are numbered by creation and not by depth.
    trees = []
    for i, record in enumerate(golden_lines("trees.jsonl")):
        tree, _ = search_record(record)
        assert isinstance(tree, Tree)
        tree.problem = Problem(f"p{i}", f"question {i}", tree.problem.answers)
        trees.append(tree)
    graded = [tree for tree in trees if all(node.correct is not None for node in tree.finals())]
    assert len(graded) == len(trees)
    write_reference_trees(tmp_path / "trees.jsonl", graded)
    back = read_reference_trees(tmp_path / "trees.jsonl")
    for make in (sft_rows, all_pair_groups, trajectory_rows):
        data = make(graded)
        assert len(data) > 5
        assert make(back) == data


def released(**changes: Any) -> dict[str, Any]:
    """Return a line as the released code writes it."""

    def node(text: str, q: float, **more: Any) -> dict[str, Any]:
        plain = {
            "text": text,
            "extra_info": "",
            "action": "",
            "action_input": "",
            "final_answer": "",
            "value": q,
        }
        return {**plain, "q_value": q, "visit_count": 1, **more}

    def step(text: str, q: float, observation: str, suffix: str = "") -> dict[str, Any]:
        return node(
            text + suffix,
            q,
            action="python_interpreter",
            action_input=text,
            observation=observation,
        )

    nodes = {
        "0": node("", 0.1, extra_info="question: How many?"),
        "0.1": step("<code>\nprint(5)<end_of_code>", 0.5, "5", "\n<output>5<end_of_output>"),
        "0.2": step("<code>\nx<end_of_step>", -0.5, "NameError: x"),
        "0.1.1": node("<answer>\\boxed{5}<end_of_answer>", 1.0, final_answer="5"),
        "0.2.1": {
            **step(
                "y<end_of_step>",
                -1.0,
                "NameError: y",
                "<end_of_code>\n<output>NameError: y<end_of_output>",
            ),
            "final_answer": "Too many consecutive steps have code errors.",
        },
        "0.1.2": node("<answer>\\boxed{6}<end_of_answer>", 0.3, final_answer="6"),
    }
    return {"index": 7, "question": "How many?", "answer": "5", "rstar": nodes, **changes}


def test_a_line_of_the_released_code(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text(json.dumps(released()) + "\n")
    (tree,) = read_reference_trees(tmp_path / "out.jsonl")
    assert tree.problem == Problem("out-7", "How many?", ("5",))
    assert [
        (node.parent, node.depth, node.end, node.status, node.correct) for node in tree.nodes
    ] == [
        (-1, 0, "", "", None),
        (0, 1, "", "ok", None),
        (0, 1, "", "error", None),
        (1, 2, "answer", "", True),
        (1, 2, "answer", "", None),
        (2, 2, "errors", "error", None),
    ]
    first, last = tree.nodes[1], tree.nodes[5]
    assert (first.step, first.suffix) == (
        "<code>\nprint(5)<end_of_code>",
        "\n<output>5<end_of_output>",
    )
    assert (last.step, last.suffix) == (
        "y<end_of_step>",
        "<end_of_code>\n<output>NameError: y<end_of_output>",
    )
    assert (tree.nodes[4].answer, tree.nodes[4].q) == ("6", 0.3)
    with MathVerifier() as verifier:
        (graded,) = read_reference_trees(tmp_path / "out.jsonl", verifier)
    assert [node.correct for node in graded.finals()] == [True, False]


def test_text_of_the_released_code_forges_no_mark(tmp_path: Path) -> None:
    record = released()
    code = "<code>\nprint('<end_of_output>')<end_of_code>"
    record["rstar"]["0.1"] |= {
        "text": f"{code}\n<output><end_of_output><end_of_output>",
        "action_input": code,
        "observation": "<end_of_output>",
    }
    (tmp_path / "out.jsonl").write_text(json.dumps(record) + "\n")
    (tree,) = read_reference_trees(tmp_path / "out.jsonl")
    assert tree.nodes[1].step == code.replace("'<", "'<\\")
    assert tree.nodes[1].suffix == "\n<output><\\end_of_output><end_of_output>"
    assert tree.nodes[1].observation == "<end_of_output>"


def test_queries_and_ids_of_other_files(tmp_path: Path) -> None:
    record = released(query="How many?")
    del record["question"], record["index"]
    (tmp_path / "out.jsonl").write_text(json.dumps(record) + "\n\n")
    assert read_reference_trees(tmp_path / "out.jsonl")[0].problem == Problem(
        "out-0", "How many?", ("5",)
    )


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    orphan = released()
    orphan["rstar"]["0.5.1"] = orphan["rstar"]["0.1"]
    strange = released()
    strange["rstar"]["0.1"]["action_input"] = "something else"
    nameless = released()
    del nameless["rstar"]["0.1"]["q_value"]
    for text, error in {
        "": "empty",
        "{\n": r"out.jsonl:1: broken JSON",
        json.dumps(
            {"question": "x", "answer": "1"}
        ): r"out.jsonl:1: expected an object whose field 'rstar'",
        json.dumps(released()) + "\n" + json.dumps(orphan): r"out.jsonl:2: .* KeyError: '0.5'",
        json.dumps(strange): "begins with its step 'something else'",
        json.dumps(nameless): "KeyError: 'q_value'",
    }.items():
        path.write_text(text)
        with pytest.raises(DataError, match=error):
            read_reference_trees(path)
    path.write_text(json.dumps(released(question="")))
    with pytest.raises(ProblemError, match=r"out.jsonl:1: question"):
        read_reference_trees(path)
    with pytest.raises(DataError, match="no such file"):
        read_reference_trees(tmp_path / "nowhere.jsonl")
