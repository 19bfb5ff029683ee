"""Tree files in the format of the released code.

A file is JSONL with one problem per line. The nodes of its tree are under `rstar`, by tag. The root
has the tag "0", and its children have "0.1", "0.2", ... in order. A node has these fields:

    text            text of the step, with the observation where it closed its code
    extra_info      "question: " and the question at the root, "" elsewhere
    action          "python_interpreter" for a step that was run, else ""
    action_input    text of a step that was run, without the observation
    observation     output of a step that was run
    final_answer    final answer, or a sentence that says why the branch ended
    value           score by the PPM, or Q where there is no score
    q_value         Q
    visit_count     number of visits
    rstar_fast      what a tree of ours has beyond that; other readers ignore this field

Token ids are left out.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rstar_fast.data.files import json_lines
from rstar_fast.errors import DataError, StoreError
from rstar_fast.marks import OUTPUT, escape
from rstar_fast.marks.step_text import solution_text
from rstar_fast.problems.files import problem_of_row
from rstar_fast.store.records import encode_line
from rstar_fast.tree import EndReason, Node, Tree, children_of
from rstar_fast.verify.base import Verifier

_SENTENCES: dict[EndReason, str] = {
    "errors": "Too many consecutive steps have code errors.",
    "depth": "Fail to sove the problem within limited steps.",
    "stuck": "Fail to generate parsable text for next step.",
}
"""Sentences of the released code for branches that ended without an answer. "sove" is its own."""
_ENDS = {sentence: end for end, sentence in _SENTENCES.items()}
_RUN = "python_interpreter"
"""Name that the released code gives to running a program."""
_OWN = ("status", "consecutive_errors", "correct", "score", "exhausted")


def write_reference_trees(path: str | Path, trees: Iterable[Tree]) -> int:
    """Write trees, one per line. Return the number of trees.

    Args:
        path: File to write. An old file is overwritten.
        trees: Trees to write.

    Raises:
        StoreError: A number is NaN or infinite, or the file cannot be written.
    """
    count = 0
    try:
        with Path(path).open("wb") as file:
            for tree in trees:
                file.write(encode_line(tree_to_reference(tree)))
                count += 1
    except OSError as error:
        raise StoreError(f"{path}: could not write trees: {error.strerror or error}") from error
    return count


def read_reference_trees(path: str | Path, verifier: Verifier | None = None) -> list[Tree]:
    """Return the trees of a file, written by us or by the released code.

    Args:
        path: File to read.
        verifier: Verifier for final answers whose grade the file does not tell, as in trees that
            were searched without ground truth. None leaves these answers without a grade.

    Raises:
        DataError: The file is missing or empty, or a line is not such a tree. The message names the
            line.
        ProblemError: The problem of a line is malformed, or it has no accepted answer to grade by.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    trees = [
        reference_to_tree(record, path.stem, i, where)
        for i, (where, record) in enumerate(json_lines(path))
    ]
    if not trees:
        raise DataError(f"{path}: empty: expected one tree per line")
    if verifier is not None:
        _grade(trees, verifier)
    return trees


def tree_to_reference(tree: Tree) -> dict[str, Any]:
    """Return a tree as the released code stores it."""
    problem = tree.problem
    tags = {0: "0"}
    for siblings in children_of(tree.nodes):
        for place, node in enumerate(siblings, 1):
            tags[node.id] = f"{tags[node.parent]}.{place}"
    return {
        "id": problem.id,
        "question": problem.question,
        "answer": problem.answers[0] if len(problem.answers) == 1 else list(problem.answers),
        "rstar": {
            tags[node.id]: _node_to_reference(
                node, f"question: {problem.question}" if node.id == 0 else ""
            )
            for node in tree.nodes
        },
    }


def reference_to_tree(record: Any, stem: str, position: int, where: str) -> Tree:
    """Return the tree of a record.

    Args:
        record: Value of a line.
        stem: Name of the file, for the id of a problem that has no id of its own.
        position: Position of the record in the file, for the id of a problem that has no id of its
            own.
        where: Place of the line, for errors.

    Raises:
        DataError: The record is not in the format of the released code.
        ProblemError: The problem is malformed.
    """
    tagged = record.get("rstar") if isinstance(record, dict) else None
    if not isinstance(tagged, dict) or "0" not in tagged:
        raise DataError(
            f"{where}: expected an object whose field 'rstar' has nodes by tag, with a root '0'"
        )
    row = {
        **record,
        "question": record.get("question", record.get("query")),
        "answer": record.get("answer"),
    }
    problem = problem_of_row(row, f"{stem}-{position}", stem, where)
    try:
        order = sorted(
            tagged, key=lambda tag: (tag.count("."), [int(part) for part in tag.split(".")])
        )
        ids = {tag: place for place, tag in enumerate(order)}
        nodes = [
            _node_of_reference(
                tagged[tag],
                ids[tag],
                ids[tag.rpartition(".")[0]] if "." in tag else -1,
                tag.count("."),
            )
            for tag in order
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{where}: not a tree of the released code: {type(error).__name__}: {error}"
        ) from error
    return Tree(problem, nodes)


def _node_to_reference(node: Node, extra_info: str) -> dict[str, Any]:
    answered = node.end == "answer"
    own = {name: getattr(node, name) for name in _OWN}
    return {
        "text": node.text,
        "extra_info": extra_info,
        "action": _RUN if node.observation is not None else "",
        "action_input": node.step if node.observation is not None else "",
        "observation": node.observation or "",
        "final_answer": node.answer if answered else _SENTENCES.get(node.end, ""),
        "value": node.q if node.score is None else node.score,
        "q_value": node.q,
        "visit_count": node.visits,
        "rstar_fast": {"end": node.end, "step": node.step, "logprobs": list(node.logprobs), **own},
    }


def _node_of_reference(record: dict[str, Any], node_id: int, parent: int, depth: int) -> Node:
    own = record.get("rstar_fast")
    text, sentence = record["text"], record.get("final_answer", "")
    ran = record.get("action") == _RUN
    node = Node(
        id=node_id,
        parent=parent,
        depth=depth,
        observation=record.get("observation", "") if ran else None,
        q=float(record["q_value"]),
        visits=int(record["visit_count"]),
    )
    if own is not None:
        node.end, step, node.logprobs = own["end"], own["step"], tuple(own["logprobs"])
        for name in _OWN:
            setattr(node, name, own[name])
    else:
        node.end = _ENDS.get(sentence, "answer" if sentence else "")
        step = record.get("action_input", "") if ran else text
        if node.end == "answer" and node.q in (1.0, -1.0):
            # Only ground truth gives 1 and -1. The scores of a PPM are between them.
            node.correct = node.q == 1.0
        if ran:
            # The released code has the same rule.
            node.status = "error" if "error" in (node.observation or "").lower() else "ok"
    if not text.startswith(step):
        raise ValueError(
            f"expected a text that begins with its step {step[:40]!r}, got {text[:40]!r}"
        )
    node.step, node.suffix = step, text[len(step) :]
    if own is None:
        # The released code escapes nothing.
        node.step = solution_text(step, is_whole=True)
        shown = OUTPUT + (node.observation or "")
        node.suffix = node.suffix.replace(shown, OUTPUT + escape(node.observation or ""))
    node.answer = sentence if node.end == "answer" else ""
    return node


def _grade(trees: list[Tree], verifier: Verifier) -> None:
    waiting = [
        (node, verifier.submit(tree.problem, node.answer))
        for tree in trees
        for node in tree.finals()
        if node.correct is None
    ]
    for node, grade in waiting:
        node.correct = grade.result().correct
