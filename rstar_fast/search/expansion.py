"""One expansion of a tree: candidates, programs, grades, scores (rules 4 and 5 of the search semantics).

Written as coroutines: a `Steps` yields the requests it waits for and is sent their results, in the same order.
"""

import math
from collections.abc import Generator, Sequence
from typing import Any

from rstar_fast.errors import PolicyError, ScoreError, SearchError
from rstar_fast.policy.base import Candidate
from rstar_fast.search.live import LiveTree
from rstar_fast.search.work import Request
from rstar_fast.steps import END_OF_CODE, closes_code, ends_answer, final_answer, has_final_answer, observation_suffix
from rstar_fast.tree import Node
from rstar_fast.verify.base import Observation, Status

Steps = Generator[list[Request], Any, None]


def expand(tree: LiveTree, node: int, num_candidates: int, distinct: bool = True) -> Steps:
    """Give a node its children, with all that is to be known of them.

    Args:
        tree: changed in place.
        node: an unexpanded node.
        num_candidates: how many steps the policy is asked for.
        distinct: drop repeated candidates, and all but the first of those that end the answer.
    """
    (expansion,) = yield [tree.expand_request(node, num_candidates)]
    if expansion.error is not None:
        raise PolicyError(f"the policy failed at node {node}: {expansion.error}")
    candidates = expansion.candidates
    if not 1 <= len(candidates) <= num_candidates:
        raise PolicyError(f"the policy gave {len(candidates)} candidates at node {node}; 1 to {num_candidates} were asked for")
    tree.count(candidates)
    children = tree.add_children(node, _distinct(candidates) if distinct else candidates)

    requests: list[Request] = []
    finals: list[Node] = []
    programs: list[Node] = []
    for child in children:
        if has_final_answer(child.step):
            child.answer = final_answer(child.step)
            child.end = "answer"
            finals.append(child)
        elif child.step.strip():
            programs.append(child)
        else:
            child.end = "stuck"
    annotate = tree.config.annotate_terminals_with_ground_truth
    to_grade = _ungraded(tree, finals) if annotate else []
    requests += [tree.run_request(child) for child in programs]
    requests += [tree.grade_request(child) for child in to_grade]
    results = (yield requests) if requests else []
    observations = dict(zip([child.id for child in programs], results, strict=False))
    for child, grade in zip(to_grade, results[len(programs) :], strict=True):
        tree.grades[child.answer] = grade.correct

    for child in children:
        if child.id in observations:
            _observe(tree, child, observations[child.id])
        if child.end == "answer" and annotate:
            child.correct = tree.grades[child.answer]
            tree.backup(child.id, 1.0 if child.correct else -1.0)
        elif not child.end and child.depth > tree.config.max_depth:
            child.end = "depth"
        if child.end:
            tree.end(child)
        if child.end in ("errors", "depth", "stuck"):
            tree.add(child.id, -1.0)
    if tree.config.use_scores:
        yield from _score(tree, node, [child for child in children if not child.end or (child.end == "answer" and not annotate)])


def grade_finals(tree: LiveTree) -> Steps:
    """Grade every final answer that was not graded on the way, for the record: it changes no value."""
    finals = [node for node in tree.nodes if node.end == "answer"]
    to_grade = _ungraded(tree, finals)
    if to_grade:
        grades = yield [tree.grade_request(node) for node in to_grade]
        for node, grade in zip(to_grade, grades, strict=True):
            tree.grades[node.answer] = grade.correct
    for node in finals:
        node.correct = tree.grades[node.answer]


def together(branches: Sequence[Steps]) -> Steps:
    """Advance several coroutines of one tree, all by one wait at a time.

    Branches change the tree in their own order, never in that of the answers' arrival: node ids stay the same on every run.
    """
    waits = [(branch, next(branch, None)) for branch in branches]
    while waits := [(branch, wanted) for branch, wanted in waits if wanted is not None]:
        results = iter((yield [request for _, wanted in waits for request in wanted]))
        waits = [(branch, _resume(branch, [next(results) for _ in wanted])) for branch, wanted in waits]


def _resume(branch: Steps, results: list[Any]) -> list[Request] | None:
    """Send a coroutine what it waits for: what it wants next, or None if it has ended."""
    try:
        return branch.send(results)
    except StopIteration:
        return None


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Rule 4: exact duplicates removed, the first kept; if any ends the answer, only the first that does is kept of those."""
    kept: dict[str, Candidate] = {}
    answered = False
    for candidate in candidates:
        ends = ends_answer(candidate.text)
        if candidate.text in kept or (ends and answered):
            continue
        kept[candidate.text] = candidate
        answered |= ends
    return list(kept.values())


def _ungraded(tree: LiveTree, finals: Sequence[Node]) -> list[Node]:
    """The first node of every answer that has no grade yet; an empty answer is wrong without asking."""
    tree.grades.setdefault("", False)
    first: dict[str, Node] = {}
    for node in finals:
        if node.answer not in tree.grades:
            first.setdefault(node.answer, node)
    return list(first.values())


def _observe(tree: LiveTree, child: Node, observation: Observation) -> None:
    child.observation, child.status = observation.text, str(observation.status)
    failed = observation.status is not Status.OK
    if tree.config.error_by_text:
        failed = "error" in observation.text.lower()
    suffix = observation_suffix(observation.text)
    closes = closes_code(child.step)
    if closes:
        child.suffix = suffix
    if not failed:
        return
    child.consecutive_errors = tree.nodes[child.parent].consecutive_errors + 1
    if child.consecutive_errors < tree.config.error_limit:
        return
    child.end = "errors"
    if not closes:
        child.suffix = END_OF_CODE + suffix
    elif tree.config.wrap_limit_observation_twice:
        child.suffix += suffix


def _score(tree: LiveTree, parent: int, children: Sequence[Node]) -> Steps:
    if not children:
        return
    (scores,) = yield [tree.score_request(parent, children)]
    if scores.error is not None:
        raise ScoreError(f"the PPM failed at the children of node {parent}: {scores.error}")
    if len(scores.values) != len(children):
        raise SearchError(f"the PPM gave {len(scores.values)} scores for the {len(children)} children of node {parent}")
    for child, value in zip(children, scores.values, strict=True):
        score = float(value)
        if not math.isfinite(score):
            raise ScoreError(f"the PPM gave {score} for node {child.id}; a number in [-1, 1] was expected")
        child.score = score
        if child.end == "answer":
            tree.backup(child.id, score)
        else:
            tree.add(child.id, score)
