"""The baseline of the scheduler: all problems step together, as in the released rStar-Math code."""

from collections.abc import Iterator

from rstar_fast.config import SearchConfig
from rstar_fast.failure import Failure
from rstar_fast.policy.base import Policy
from rstar_fast.ppm.base import Scorer
from rstar_fast.problems import Problem
from rstar_fast.search import Search, Work
from rstar_fast.search.work import KIND_OF
from rstar_fast.tree import Tree
from rstar_fast.verify.base import StepRunner, Verifier


class LockStep:
    """A search in rounds: steps of all problems, then their programs and grades, then their scores.

    A problem that ended is replaced in the next round. That is kinder than the released code, which
    searches a batch of problems until the last of them has ended.

    Args:
        config: How to search.
        policy: Policy that writes the steps.
        scorer: PPM that scores them.
        runner: Runner of the steps.
        verifier: Verifier that grades final answers.
        problems: Problems without end.
    """

    def __init__(
        self,
        config: SearchConfig,
        policy: Policy,
        scorer: Scorer,
        runner: StepRunner,
        verifier: Verifier,
        problems: Iterator[Problem],
    ) -> None:
        self._search = Search(config)
        self._policy = policy
        self._scorer = scorer
        self._runner = runner
        self._verifier = verifier
        self._problems = problems
        self._work = Work()

    def round(self) -> list[Tree | Failure]:
        """Do one round and return the problems that ended in it."""
        search = self._search
        search.add(
            next(self._problems) for _ in range(search.config.max_active - search.num_active)
        )
        self._ask()
        self._policy.add(self._work.expand)
        self._work.expand = []
        while self._policy.pending:
            for expansion in self._policy.step():
                search.tell(expansion.request_id, expansion)
        self._ask()
        futures = [(run.id, self._runner.submit(run.steps)) for run in self._work.run]
        grades = [
            (grade.id, self._verifier.submit(grade.problem, grade.answer))
            for grade in self._work.grade
        ]
        self._work.run, self._work.grade = [], []
        for request_id, run in futures:
            search.tell(request_id, run.result())
        for request_id, grade in grades:
            search.tell(request_id, grade.result())
        self._ask()
        scores, self._work.score = self._work.score, []
        for score in self._scorer.score(scores) if scores else ():
            search.tell(score.request_id, score)
        return search.finished()

    def _ask(self) -> None:
        new = self._search.ask()
        for kind in KIND_OF.values():
            self._work.of(kind).extend(new.of(kind))
