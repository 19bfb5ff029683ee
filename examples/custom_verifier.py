"""Verify answers by rules of your own: a countdown puzzle, where any right expression will do.

Run it by `python examples/custom_verifier.py`.
"""

import ast
import re
from concurrent.futures import Future
from typing import Any

from rstar_fast import FunctionPolicy, Problem, SearchConfig, Searcher, Tree
from rstar_fast.policy import ExpandRequest
from rstar_fast.verify import FunctionVerifier, Grade, Verifier

OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}
EXPRESSIONS = ["25 * 7 + 3", "(25 - 3) * 7", "7 * (25 - 3)", "22 * 7"]


def reaches(problem: dict[str, Any], answer: str) -> bool:
    """Whether an expression gives the target and uses only numbers of the puzzle, each once."""
    given = re.findall(r"\d+", problem["question"])
    tree = ast.parse(answer, mode="eval")
    allowed = (ast.Expression, ast.BinOp, ast.Constant, *OPERATORS)
    if not all(isinstance(node, allowed) for node in ast.walk(tree)):
        return False
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    # A text of digits is no number: '1' + '54' spells 154.
    if not all(type(value) is int for value in values):
        return False
    used = list(map(str, values))
    if any(used.count(number) > given.count(number) for number in used):
        return False
    return str(eval(compile(tree, "<answer>", "eval"))) in problem["answers"]


class CountdownVerifier:
    """A `Verifier` by the protocol alone. It grades at once, in this process.

    Do so only where the check is quick and safe for any text that a model can write.
    """

    def submit(self, problem: Problem, answer: str) -> "Future[Grade]":
        future: Future[Grade] = Future()
        fields = {"question": problem.question, "answers": problem.answers}
        try:
            future.set_result(Grade(reaches(fields, answer)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            # The parser raises the last two for texts that are nested too deeply.
            future.set_result(Grade(False))
        return future

    def close(self) -> None:
        pass


def write_steps(requests: list[ExpandRequest]) -> list[list[str]]:
    """Stand in for a policy: compute an expression in one step, answer with it in the next."""
    return [next_steps("".join(part.text for part in request.path)) for request in requests]


def next_steps(solution: str) -> list[str]:
    if not solution:
        return [f"<code>\nprint({text})\n<end_of_code>" for text in EXPRESSIONS]
    expression = solution.partition("print(")[2].partition(")\n<end_of_code>")[0]
    return [rf"<answer>$\boxed{{{expression}}}$<end_of_answer>"]


def search(verifier: Verifier) -> Tree:
    # The accepted answer is the target. What it means is the verifier's matter.
    puzzle = Problem("countdown", "Use 3, 7 and 25, each at most once.", ("154",))
    config = SearchConfig.preset(
        "fast", use_scores=False, annotate_terminals_with_ground_truth=True
    )
    with Searcher(FunctionPolicy(write_steps), config, verifier=verifier) as searcher:
        (ended,) = searcher.search([puzzle])
    assert isinstance(ended, Tree), ended
    return ended


def main() -> None:
    own = CountdownVerifier()
    # The worker imports the function by name. Taking over 2 seconds counts as wrong.
    with FunctionVerifier("custom_verifier:reaches", limit_s=2.0) as in_worker:
        for name, verifier in (("protocol", own), ("worker", in_worker)):
            for node in search(verifier).finals():
                print(f"{name}: {node.answer} is {'right' if node.correct else 'wrong'}")


if __name__ == "__main__":
    main()
