"""Trees and failures as JSON objects: the lines of `trees.jsonl` and `failures.jsonl`."""

import json
import re
from dataclasses import fields
from math import isfinite
from typing import Any, get_type_hints

from rstar_fast._core import ids_to_bytes, logprobs_to_bytes
from rstar_fast.errors import StoreError, described
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.store.fields import Kind, check_fields
from rstar_fast.tree import Ended, Node, Tree

FORMAT = 1
"""Version of the format of tree records."""
LOGPROB_DECIMALS = 5
"""Number of decimals that are kept of a log-probability."""

_STORED_AS = {"id_bytes": "token_ids", "logprob_bytes": "logprobs"}
_NODE_KEYS = tuple(_STORED_AS.get(field.name, field.name) for field in fields(Node))
_ITEM_KINDS = {"kind": Kind.of(str), "seconds": Kind.of(float), "count": Kind.of(int)}
_PROBLEM_KINDS = {
    "id": Kind.of(str),
    "copy": Kind.of(int | None),
    "question": Kind.of(str),
    "answers": Kind.of(list),
}
_TREE_KINDS = {
    **_PROBLEM_KINDS,
    "format": Kind.of(int),
    "seed": Kind.of(int),
    "solved": Kind.of(bool),
    "timings": Kind.of(list),
    "counts": Kind.of(list),
    "ended": Kind.of(Ended),
    "sure": Kind.of(float | None),
    "nodes": Kind.of(list),
}
_FAILURE_KINDS = {
    **_PROBLEM_KINDS,
    **dict.fromkeys(("error_type", "reason", "traceback", "time"), Kind.of(str)),
}
_SESSION_KINDS = {
    "ended": Kind.of(str),
    "trees": Kind.of(int),
    "failures": Kind.of(int),
    "wall_s": Kind.of(float),
    "resources": Kind.of(dict),
    "engines": Kind.of(dict),
}
_NODE_KINDS = {
    **{name: Kind.of(hint) for name, hint in get_type_hints(Node).items()},
    **dict.fromkeys(_STORED_AS.values(), Kind.of(list)),
}
_SURROGATE = re.compile("[\ud800-\udfff]")


def tree_to_record(tree: Tree) -> dict[str, Any]:
    """Return everything a tree holds as plain JSON values.

    `record_to_tree` turns the record back into the tree, with log-probabilities rounded to 5
    decimals. Every node has all fields of `tree.Node`, and timings and counts are lists of objects
    with fixed fields, so that tools that want one schema for all rows (`datasets`, pyarrow) read
    the file.

    Raises:
        StoreError: A number of the tree is NaN or infinite, which JSON cannot hold.
    """
    problem = tree.problem
    return {
        "format": FORMAT,
        **_problem_to_record(problem),
        "seed": tree.seed,
        "solved": tree.solved,
        "timings": [{"kind": kind, "seconds": seconds} for kind, seconds in tree.timings.items()],
        "counts": [{"kind": kind, "count": count} for kind, count in tree.counts.items()],
        "ended": tree.ended,
        "sure": tree.sure,
        "nodes": [_node_to_record(node, problem.key) for node in tree.nodes],
    }


def record_to_tree(record: dict[str, Any]) -> Tree:
    """Return the tree of a record.

    Records without `copy`, `ended` or `sure`, and nodes without `draws` and `spent`, which older
    versions wrote, are read too.

    Raises:
        StoreError: The record has another version of the format, or is not a tree record.
    """
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        got = record.get("format", "none") if isinstance(record, dict) else type(record).__name__
        raise StoreError(f"tree record: expected format {FORMAT}, got {str(got)[:60]}")
    try:
        check_fields(record, _TREE_KINDS)
        for item in (*record["timings"], *record["counts"]):
            check_fields(item, _ITEM_KINDS)
        for row in record["nodes"]:
            check_fields(row, _NODE_KINDS)
        nodes = _to_nodes(record["nodes"])
        tree = Tree(
            problem=_record_to_problem(record),
            nodes=nodes,
            seed=record["seed"],
            timings={item["kind"]: item["seconds"] for item in record["timings"]},
            counts={item["kind"]: item["count"] for item in record["counts"]},
            ended=record.get("ended", ""),
            sure=record.get("sure"),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(
            f"tree record of {_short_id(record)}: not of format {FORMAT}: {described(error)}"
        ) from error
    if not nodes:
        raise StoreError(f"tree record of {_short_id(record)}: expected a root, got no nodes")
    for position, node in enumerate(nodes):
        if node.id != position or not (
            node.parent < position and (node.parent >= 0 or position == 0)
        ):
            raise StoreError(
                f"tree record of {_short_id(record)}: expected node {position} to have id "
                f"{position} and a parent before it, got id {node.id} and parent {node.parent}"
            )
        if node.draws < 1 or node.spent < 0:
            raise StoreError(
                f"tree record of {_short_id(record)}: expected node {position} to have a draw or "
                f"more and no negative number of tokens, got {node.draws} and {node.spent}"
            )
    return tree


def failure_to_record(failure: Failure) -> dict[str, Any]:
    """Return a failure as plain JSON values. `record_to_failure` gives the failure back."""
    return {
        **_problem_to_record(failure.problem),
        "reason": failure.reason,
        "error_type": failure.error_type,
        "traceback": failure.traceback,
        "time": failure.time,
    }


def record_to_failure(record: dict[str, Any]) -> Failure:
    """Return the failure of a record. Fields that older versions did not write are empty.

    Raises:
        StoreError: The record is not a failure record.
    """
    try:
        check_fields(record, _FAILURE_KINDS)
        problem = _record_to_problem({"question": "", "answers": [], **record})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"failure record of {_short_id(record)}: {described(error)}") from error
    told = {name: record.get(name, "") for name in ("error_type", "reason", "traceback", "time")}
    return Failure(problem, **told)


def check_session(record: dict[str, Any]) -> None:
    """Check the note of a session, as far as it has the fields that this version knows.

    Raises:
        StoreError: A field is of another type than it should be.
    """
    known = {name: value for name, value in record.items() if name in _SESSION_KINDS}
    try:
        check_fields(known, _SESSION_KINDS)
        for one in known.get("resources", {}).values():
            check_fields(one, dict.fromkeys(one, Kind.of(float)))
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreError(f"note of session {_short_id(record)}: {described(error)}") from error


def encode_line(record: dict[str, Any]) -> bytes:
    """Return a record as one line of strict JSON in UTF-8.

    Half of a surrogate pair on its own, which a program can print, becomes U+FFFD.

    Raises:
        StoreError: A value is not a JSON value, or a number is NaN or infinite.
    """
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"record of {record.get('id')!r}: cannot be written as JSON: {error}"
        ) from error
    return (text if text.isascii() else _SURROGATE.sub("\ufffd", text)).encode()


def _problem_to_record(problem: Problem) -> dict[str, Any]:
    return {
        "id": problem.key,
        "copy": problem.copy,
        "question": problem.question,
        "answers": list(problem.answers),
    }


def _short_id(record: dict[str, Any]) -> str:
    return repr(str(record.get("id"))[:60])


def _record_to_problem(record: dict[str, Any]) -> Problem:
    copy = record.get("copy")
    problem_id = record["id"] if copy is None else record["id"].removesuffix(f"#{copy}")
    return Problem(problem_id, record["question"], tuple(record["answers"]), copy)


def _to_nodes(rows: list[dict[str, Any]]) -> list[Node]:
    ids = ids_to_bytes([row["token_ids"] for row in rows])
    logprobs = logprobs_to_bytes([row["logprobs"] for row in rows])
    plain = [
        {name: value for name, value in row.items() if name not in _STORED_AS.values()}
        for row in rows
    ]
    return [
        Node(**row, id_bytes=i, logprob_bytes=p)
        for row, i, p in zip(plain, ids, logprobs, strict=True)
    ]


def _node_to_record(node: Node, problem_key: str) -> dict[str, Any]:
    record = {name: getattr(node, name) for name in _NODE_KEYS}
    record["token_ids"] = list(record["token_ids"])
    record["logprobs"] = [round(logprob, LOGPROB_DECIMALS) for logprob in record["logprobs"]]
    for name, values in (
        ("q", [node.q]),
        ("score", [node.score or 0.0]),
        ("logprobs", record["logprobs"]),
    ):
        if not all(map(isfinite, values)):
            raise StoreError(
                f"tree of {problem_key!r}: node {node.id}: {name}: "
                f"expected finite numbers, got {values}"
            )
    return record
