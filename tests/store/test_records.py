"""Records of trees and failures: the lines of a run folder's files."""

import json
from array import array
from pathlib import Path

import pytest
from trees import odd_tree

from rstar_fast.errors import StoreError
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.store import RunFolder, record_to_tree, tree_to_record
from rstar_fast.store.records import encode_line, failure_to_record, record_to_failure
from rstar_fast.tree import Node, Tree


def test_round_trip() -> None:
    tree = odd_tree()
    back = record_to_tree(json.loads(encode_line(tree_to_record(tree))))
    tree.nodes[1].logprobs = (-0.12346, -2.0)
    assert back == tree
    assert back.nodes[1].token_ids == (5, 6) and back.nodes[1].logprobs == pytest.approx(
        (-0.12346, -2.0), abs=1e-8
    )
    assert tree_to_record(back) == tree_to_record(tree)
    assert back.nodes[1].q.hex() == tree.nodes[1].q.hex()


def test_all_nodes_have_the_same_keys() -> None:
    assert len({tuple(node) for node in tree_to_record(odd_tree())["nodes"]}) == 1


def test_half_a_surrogate_pair_is_replaced() -> None:
    line = encode_line(tree_to_record(odd_tree(step="a\ud800b😀")))
    assert record_to_tree(json.loads(line.decode("utf-8"))).nodes[1].step == "a\ufffdb😀"


@pytest.mark.parametrize(
    ("field", "value"),
    [("q", float("nan")), ("score", float("inf")), ("logprobs", (-1.0, float("nan")))],
)
def test_numbers_json_has_no_form_for(field: str, value: object) -> None:
    tree = odd_tree()
    if field == "logprobs":
        # The setter refuses such numbers.
        tree.nodes[2].logprob_bytes = array("f", value).tobytes()  # type: ignore[arg-type]
    else:
        setattr(tree.nodes[2], field, value)
    with pytest.raises(StoreError, match=f"'p': node 2: {field}: expected finite"):
        tree_to_record(tree)


def test_a_record_of_an_older_version_is_read() -> None:
    # Tokens were kept as tuples, problems had no copies, no grade was unsure, nodes did not say how
    # often they were drawn and what was spent, and nothing told why a search had ended.
    node = {
        "depth": 0,
        "step": "",
        "suffix": "",
        "exact": True,
        "finish": "mark",
        "observation": None,
        "status": "",
        "consecutive_errors": 0,
        "end": "",
        "answer": "",
        "correct": None,
        "score": None,
        "q": 0.0,
        "visits": 0,
        "exhausted": False,
    }
    nodes = [
        {**node, "id": 0, "parent": -1, "token_ids": [], "logprobs": []},
        {**node, "id": 1, "parent": 0, "token_ids": [7, 2**31 - 1], "logprobs": [-0.5, -3.25]},
        {**node, "id": 2, "parent": 0, "token_ids": [7], "logprobs": []},
    ]
    record = {
        "format": 1,
        "id": "p",
        "question": "q",
        "answers": [],
        "seed": 0,
        "solved": False,
        "timings": [],
        "counts": [],
        "nodes": nodes,
    }
    line = json.dumps(record)
    tree = record_to_tree(record)
    assert tree.problem == Problem("p", "q")
    _, both, ids = tree.nodes
    assert (both.token_ids, both.logprobs) == ((7, 2**31 - 1), (-0.5, -3.25))
    assert (ids.token_ids, ids.logprobs) == ((7,), ())
    assert record == json.loads(line)
    now = [{**node, "unsure": False, "draws": 1, "spent": 0, "version": 0} for node in nodes]
    assert tree_to_record(tree) == {
        **record,
        "copy": None,
        "ended": "",
        "sure": None,
        "nodes": now,
    }


def test_the_record_of_a_copy_has_its_key_and_its_number() -> None:
    record = tree_to_record(odd_tree("p#1", copy=1))
    assert (record["id"], record["copy"]) == ("p#1#1", 1)
    assert record_to_tree(record).problem == odd_tree("p#1", copy=1).problem
    without = {name: value for name, value in record.items() if name != "copy"}
    assert record_to_tree(without).problem == odd_tree("p#1#1").problem


@pytest.mark.parametrize("copy", [None, 0, 12])
def test_a_failure_comes_back(copy: int | None) -> None:
    problem = Problem("p", "How many?", ("7", "seven"), copy)
    failure = Failure(
        problem, "PolicyError", "gone", "Traceback ...\n", "2026-01-01T00:00:00+00:00"
    )
    assert record_to_failure(json.loads(encode_line(failure_to_record(failure)))) == failure


def test_a_record_that_is_no_failure_is_refused() -> None:
    with pytest.raises(StoreError, match="of 'p': ValueError: answers: expected a list"):
        record_to_failure({"id": "p", "answers": None})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 9}, "expected format 1, got 9"),
        ({"nodes": [{"id": 0}]}, "KeyError"),
        ({"nodes": None}, "nodes: expected a list, got None"),
        ({"nodes": []}, "expected a root, got no nodes"),
        ({"seed": 10**30}, "seed: expected an integer of 64 bits, got a longer integer"),
        ({"solved": 1}, "solved: expected a boolean, got 1"),
        ({"question": None}, "question: expected a text"),
        ({"answers": [1]}, "answers: expected strings"),
        ({"copy": "0"}, "copy: expected"),
        ({"ended": "bored"}, "ended: expected one of"),
        ({"sure": "yes"}, "sure: expected"),
        ({"copy": -1}, "copy: expected an integer of at least 0"),
        ({"timings": [5]}, "AttributeError"),
        ({"counts": [{"kind": "expansions", "count": 1.5}]}, "count: expected an integer"),
        ({"depth": 1}, "unknown field 'depth'"),
        *(
            ({"nodes": [{**tree_to_record(odd_tree())["nodes"][0], name: value}]}, says)
            for name, value, says in (
                ("step", None, "step: expected a text"),
                ("q", "0.5", "q: expected .* a finite number"),
                ("q", float("inf"), "q: expected .* a finite number"),
                ("visits", True, "visits: expected an integer"),
                ("visits", 10**4000, "visits: expected an integer of 64 bits, got a longer"),
                ("end", "else", "end: expected one of '', 'answer'"),
                ("end", [], "end: expected one of"),
                ("correct", "yes", "correct: expected null or a boolean"),
                ("answer", {"a": 1}, "answer: expected a text, got dict of 1"),
                ("logprobs", [1e300], "a finite float32"),
                ("child", 1, "unknown field 'child'"),
            )
        ),
        (
            {"nodes": [{**tree_to_record(odd_tree())["nodes"][0], "token_ids": [2**31]}]},
            "OverflowError",
        ),
        (
            {"nodes": [{**tree_to_record(odd_tree())["nodes"][0], "token_ids": ["a"]}]},
            "TypeError",
        ),
        (
            {"nodes": [tree_to_record(odd_tree())["nodes"][1]]},
            "expected node 0 to have id 0 and a parent before it, got id 1",
        ),
        ({"timings": [{}]}, "KeyError"),
    ],
)
def test_other_records_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(StoreError, match=says):
        record_to_tree({**tree_to_record(odd_tree()), **change})


def test_pyarrow_reads_the_file(tmp_path: Path) -> None:
    arrow_json = pytest.importorskip("pyarrow.json")
    with RunFolder.open(tmp_path, {}) as run:
        run.append(Tree(Problem("no answer", "q"), [Node(0, -1, 0)]))
        run.append(odd_tree())
    table = arrow_json.read_json(tmp_path / "trees.jsonl")
    assert table["id"].to_pylist() == ["no answer", "p"]
    assert table["nodes"].to_pylist()[1][1]["score"] == 0.1
