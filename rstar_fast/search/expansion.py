"""One expansion of a tree: candidates, programs, grades, scores (rules 4 and 5 of docs/search.md).

The functions are coroutines. A `TreeTask` yields the requests that it waits for, and is sent their
checked answers (`answers.Answer`) in the same order.
"""

from collections.abc import Generator, Sequence
from typing import Any

from rstar_fast.marks import END_OF_CODE, unescape
from rstar_fast.marks.step_text import open_mark, solution_text
from rstar_fast.marks.thinking import without_thinking
from rstar_fast.programs import program_key
from rstar_fast.search.answers import WrittenStep
from rstar_fast.search.live import LiveTree
from rstar_fast.search.work import Request
from rstar_fast.steps import (
    answer_of,
    answer_of_last_box,
    closes_code,
    ends_answer,
    names_box,
    observation_suffix,
)
from rstar_fast.tree import Node
from rstar_fast.verify.base import Grade, Status

TreeTask = Generator[list[Request], Any, None]
StepForm = str | bytes
"""A value that is equal for steps that count as the same."""


def expand(tree: LiveTree, node: int, num_candidates: int, distinct: bool = True) -> TreeTask:
    """Give a node its children, with their observations, grades and scores.

    Args:
        tree: Tree, which is changed in place.
        node: Id of an unexpanded node.
        num_candidates: Number of steps that the policy is asked for.
        distinct: Whether to drop repeated candidates, and all but the first that end the answer.
    """
    children = _add_children(
        tree, node, distinct, (yield [tree.expand_request(node, num_candidates)])
    )
    yield from look_at(tree, node, children)


def draw_child(tree: LiveTree, node: int, number: int) -> TreeTask:
    """Draw one candidate more at a node, which becomes its newest child whatever its text.

    Args:
        tree: Tree, which is changed in place.
        node: Id of the node.
        number: Number of candidates that were drawn at the node before.
    """
    (written,) = yield [tree.expand_request(node, 1, number)]
    step, spent = taken(tree, node, written)
    yield from look_at(tree, node, [tree.append_child(node, step, spent)], number)


def taken(tree: LiveTree, node: int, written: list[WrittenStep]) -> tuple[WrittenStep, int]:
    """Count the one candidate of a request.

    Returns:
        The candidate as a step of the solution, and the tokens generated for the tree so far.
    """
    tree.budget.take(node, written)
    (spent,) = tree.count(written)
    (step,) = solution_steps(tree, node, written)
    return step, spent


def look_at(
    tree: LiveTree, node: int, children: Sequence[Node], first_candidate: int = 0
) -> TreeTask:
    """Find out all that is to be known of some new children of a node.

    Args:
        tree: Tree, which is changed in place.
        node: Id of the parent.
        children: Children that one draw or one expansion has made.
        first_candidate: Number of candidates that were drawn at the node before.
    """
    finals: list[Node] = []
    programs: list[Node] = []
    in_code = tree.in_code(node)
    for child in children:
        answer = _answer(tree, child.step, in_code)
        if answer is not None and (answer or child.end != "budget"):
            child.answer = answer
            child.end = "answer"
            finals.append(child)
        elif child.end:
            continue
        elif child.step.strip():
            programs.append(child)
        else:
            child.end = "stuck"
    annotate = tree.config.annotate_terminals_with_ground_truth
    to_grade = _ungraded(tree, finals) if annotate else []
    requests: list[Request] = [
        *tree.run_requests(node, programs),
        *(tree.grade_request(child) for child in to_grade),
    ]
    results = (yield requests) if requests else []
    _observe(tree, node, programs, results)
    for child, grade in zip(to_grade, results[len(programs) :], strict=True):
        tree.grades[child.answer] = grade
    if annotate:
        for child in finals:
            tree.give_grade(child)
        tree.backup(
            [child.id for child in finals], [1.0 if child.correct else -1.0 for child in finals]
        )
    if children[0].depth > tree.config.max_depth:
        for child in children:
            child.end = child.end or "depth"
    ended = [child for child in children if child.end]
    dead = [child.id for child in ended if child.end not in ("answer", "budget")]
    tree.end([child.id for child in ended])
    # A rollout that widens counts on its whole path, whatever its end.
    count = tree.backup if tree.config.widening else tree.add
    count(dead, [-1.0] * len(dead))
    if tree.config.use_scores:
        scored = [
            child for child in children if not child.end or (child.end == "answer" and not annotate)
        ]
        yield from _score(tree, node, scored, first_candidate)
    elif tree.config.widening and not annotate:
        tree.backup([child.id for child in finals], [0.0] * len(finals))


def grade_finals(tree: LiveTree) -> TreeTask:
    """Grade every final answer that has no grade yet. This changes no value of the search."""
    finals = [node for node in tree.nodes if node.end == "answer"]
    to_grade = _ungraded(tree, finals)
    if to_grade:
        grades = yield [tree.grade_request(node) for node in to_grade]
        for node, grade in zip(to_grade, grades, strict=True):
            tree.grades[node.answer] = grade
    for node in finals:
        tree.give_grade(node)


def together(branches: Sequence[TreeTask]) -> TreeTask:
    """Advance several coroutines of one tree together, each by one wait at a time.

    The branches change the tree in their own order and not in the order in which results arrive.
    Node ids are therefore the same in every run.
    """
    waits = [(branch, next(branch, None)) for branch in branches]
    while waits := [(branch, wanted) for branch, wanted in waits if wanted is not None]:
        results = iter((yield [request for _, wanted in waits for request in wanted]))
        waits = [
            (branch, _resume(branch, [next(results) for _ in wanted])) for branch, wanted in waits
        ]
        # Free the results before the next wait.
        del results


def _resume(branch: TreeTask, results: list[Any]) -> list[Request] | None:
    """Send a coroutine its results.

    Returns the requests that it waits for next, or None if it has ended.
    """
    try:
        return branch.send(results)
    except StopIteration:
        return None


def _add_children(
    tree: LiveTree, node: int, distinct: bool, results: list[list[WrittenStep]]
) -> list[Node]:
    """Make the children that the policy wrote."""
    (written,) = results
    tree.budget.take(node, written)
    spent = tree.count(written)
    steps = solution_steps(tree, node, written)
    draws = _distinct(tree, steps) if distinct else dict.fromkeys(range(len(steps)), 1)
    children = tree.add_children(node, [steps[i] for i in draws])
    for child, (i, count) in zip(children, draws.items(), strict=True):
        child.spent, child.draws = spent[i], count
    return children


def form_of(tree: LiveTree, step: str) -> StepForm:
    """Return what a step is told apart by from its siblings: its program, or its text."""
    return program_key(step) if tree.config.distinct_programs else step


def solution_steps(tree: LiveTree, node: int, written: Sequence[WrittenStep]) -> list[WrittenStep]:
    """Return what the policy wrote as steps of a solution, see `solution_text` (rule 4).

    A step has the tokens of a thinking part before it, as they are paid for. It has no
    log-probabilities then, as those of its own tokens depend on the thinking.
    """
    in_code, before = tree.in_code(node), open_mark(tree.nodes[node].text)
    steps = []
    for one in written:
        text = without_thinking(one.text)
        if text != one.text:
            one = one._replace(text=text, logprob_bytes=b"", exact=False)
        text = solution_text(text, in_code, one.ends_with_token, before)
        if text != one.text:
            one = one.with_text(text, one.exact and unescape(text) == one.text)
        steps.append(one)
    return steps


def _answer(tree: LiveTree, step: str, in_code: bool) -> str | None:
    """Return the final answer that a step gives, or None if it gives none."""
    if tree.config.answer_by_word:
        return answer_of_last_box(step) if names_box(step) else None
    return answer_of(step, in_code)


def _distinct(tree: LiveTree, steps: Sequence[WrittenStep]) -> dict[int, int]:
    """Drop repeated steps, and all but the first one that ends the answer (rule 4).

    Returns:
        Number of draws of each step that is kept, by its place among the steps.
    """
    draws: dict[int, int] = {}
    places: dict[StepForm, int] = {}
    answered = False
    for i, step in enumerate(steps):
        text = step.text
        # A text that was met need not be parsed again.
        place = places.get(text)
        if place is None:
            place = places[text] = places.setdefault(form_of(tree, text), i)
        if place in draws:
            draws[place] += 1
            continue
        if ends_answer(text):
            if answered:
                continue
            answered = True
        draws[i] = 1
    return draws


def _ungraded(tree: LiveTree, finals: Sequence[Node]) -> list[Node]:
    """Return the first node of every answer that has no grade yet.

    An empty answer is wrong without asking.
    """
    tree.grades.setdefault("", Grade(False))
    first: dict[str, Node] = {}
    for node in finals:
        if node.answer not in tree.grades:
            first.setdefault(node.answer, node)
    return list(first.values())


def _observe(tree: LiveTree, parent: int, programs: Sequence[Node], results: Sequence[Any]) -> None:
    """Note the observations of some children of one node.

    Other results may follow them in `results`.
    """
    config = tree.config
    errors_before = tree.nodes[parent].consecutive_errors
    for child, observation in zip(programs, results, strict=False):
        text, status = observation.text, observation.status
        # `_value_` is a plain attribute. The property `value` runs Python code at every access.
        child.observation, child.status = text, status._value_
        closes = closes_code(child.step)
        if closes:
            child.suffix = observation_suffix(text)
        if not ("error" in text.lower() if config.error_by_text else status is not Status.OK):
            continue
        child.consecutive_errors = errors_before + 1
        if child.consecutive_errors < config.error_limit:
            continue
        child.end = "errors"
        if not closes:
            child.suffix = END_OF_CODE + observation_suffix(text)
        elif config.wrap_limit_observation_twice:
            child.suffix *= 2


def _score(tree: LiveTree, parent: int, children: Sequence[Node], first_candidate: int) -> TreeTask:
    if not children:
        return
    (values,) = yield [tree.score_request(parent, children, first_candidate)]
    for child, score in zip(children, values, strict=True):
        child.score = score
    # The order of these calls does not matter: every child gets one value, and only answers reach
    # the ancestors.
    answers = [child for child in children if child.end]
    others = [child for child in children if not child.end] if answers else children
    tree.backup(
        [child.id for child in answers],
        [child.score for child in answers if child.score is not None],
    )
    tree.add(
        [child.id for child in others],
        [child.score for child in others if child.score is not None] if answers else values,
    )
