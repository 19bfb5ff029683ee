"""Drive the search from a trainer that owns its engine: ask for work, do it in batches, tell.

Run it by `python examples/ask_tell_trainer.py`.
"""

import random
from concurrent.futures import Future
from typing import Any

import numpy as np

from rstar_fast import Executor, Failure, MathVerifier, Problem, Search, SearchConfig, Tree
from rstar_fast.data import all_pair_groups, sft_rows
from rstar_fast.policy import Candidate, ExpandRequest, Expansion
from rstar_fast.ppm import ScoreRequest, Scores
from rstar_fast.verify import ArithmeticRunner


def generate(requests: list[ExpandRequest]) -> list[Expansion]:
    """One call of the trainer's engine for the requests of many problems. Here it is a script."""
    return [
        Expansion(request.id, tuple(write(request, i) for i in range(request.num_candidates)))
        for request in requests
    ]


def write(request: ExpandRequest, sample: int) -> Candidate:
    text = "".join(part.text for part in request.path)
    if "<end_of_output>" in text:
        output = text.rpartition("<output>")[2].partition("<end_of_output>")[0]
        return Candidate(rf"<answer>It is $\boxed{{{output}}}$.<end_of_answer>")
    # Draws are keyed by the request, so the tree does not depend on what shares its batch.
    key = request.draw_key(sample)
    operator = random.Random(key).choice("+-*")
    expression = request.question.replace("times", operator).removesuffix("?")
    return Candidate(f"<code>\nprint({expression.removeprefix('What is ')})\n<end_of_code>")


def score(requests: list[ScoreRequest]) -> list[Scores]:
    """One call of the trainer's value model: the children of every request, in [-1, 1]."""
    return [
        Scores(request.id, np.array([0.5 if "*" in text else -0.5 for text in request.children]))
        for request in requests
    ]


def search(problems: list[Problem], config: SearchConfig) -> list[Tree | Failure]:
    search = Search(config)
    search.add(problems)
    ended: list[Tree | Failure] = []
    with Executor(workers=1) as executor, MathVerifier() as verifier:
        runner = ArithmeticRunner(executor)
        while not search.done:
            work = search.ask()
            # Programs and grades are futures. The models work while these are under way.
            started: list[tuple[int, Future[Any]]] = [
                *((run.id, runner.submit(run.steps)) for run in work.run),
                *((one.id, verifier.submit(one.problem, one.answer)) for one in work.grade),
            ]
            print(f"asked for {len(work.expand)} expansions, {len(work.run)} programs, ", end="")
            print(f"{len(work.grade)} grades, {len(work.score)} scores")
            for expansion in generate(work.expand):
                search.tell(expansion.request_id, expansion)
            for scores in score(work.score):
                search.tell(scores.request_id, scores)
            for request_id, future in started:
                search.tell(request_id, future.result())
            ended += search.finished()
    return ended


def main() -> None:
    problems = [
        Problem(f"p{i}", f"What is {i} times {i + 4}?", (str(i * (i + 4)),)) for i in (3, 5)
    ]
    config = SearchConfig(
        candidates=4, rollouts=6, max_depth=4, annotate_terminals_with_ground_truth=True
    )
    trees = [one for one in search(problems, config) if isinstance(one, Tree)]
    for tree in sorted(trees, key=lambda tree: tree.problem.id):
        values = ", ".join(f"{node.answer} (Q {node.q:+.0f})" for node in tree.finals())
        print(f"{tree.problem.id}: solved {tree.solved}, answers {values}")
    pairs = sum(len(group.pairs) for group in all_pair_groups(trees))
    print(f"to train on: {len(sft_rows(trees))} solutions, {pairs} preference pairs")


if __name__ == "__main__":
    main()
