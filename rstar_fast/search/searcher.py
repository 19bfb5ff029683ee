"""Our own driver over the ask/tell search: one policy, one PPM, one pool of programs, one verifier."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, PolicyError
from rstar_fast.policy.base import Policy
from rstar_fast.ppm.base import Scorer, ScoreRequest
from rstar_fast.problems import Problem
from rstar_fast.search.inbox import Inbox
from rstar_fast.search.search import Search
from rstar_fast.search.work import Failure, Result, Work
from rstar_fast.tree import Tree
from rstar_fast.verify import Executor, Limits, MathVerifier
from rstar_fast.verify.base import StepRunner, Verifier

SHARES = ("policy", "scoring", "execution", "grading", "tree", "idle")
"""Where the wall time of `Searcher.search` goes. Execution and grading count only while nothing else could be done."""


class Searcher:
    """Searches problems with the engines given. A context manager: leaving it stops the workers it started itself.

    The calling thread drives the models and the tree; programs and grades run in worker processes meanwhile.

    Args:
        policy: writes the steps.
        config: how to search.
        scorer: the PPM; needed if, and only if, `config.use_scores`.
        runner: runs the steps; left out, an `Executor` by the config's limits.
        verifier: grades final answers; left out, a `MathVerifier`.

    Raises:
        ConfigError: `config.use_scores` and `scorer` do not fit together.
    """

    def __init__(
        self,
        policy: Policy,
        config: SearchConfig,
        scorer: Scorer | None = None,
        *,
        runner: StepRunner | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        if config.use_scores and scorer is None:
            raise ConfigError(
                "use_scores is set and no PPM was given: give one, or set use_scores=False "
                "(mcts then needs annotate_terminals_with_ground_truth=True)"
            )
        if scorer is not None and not config.use_scores:
            raise ConfigError("a PPM was given and use_scores is not set: it would never be asked")
        self.policy = policy
        self.config = config
        self.scorer = scorer
        self._own = ExitStack()
        self.runner = runner or self._own.enter_context(Executor(limits=step_limits(config), style=config.observation))
        self.verifier = verifier or self._own.enter_context(MathVerifier(limit_s=config.grade_limit_s))
        self.seconds = dict.fromkeys(SHARES, 0.0)

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers that this searcher started; those that were given are left alone."""
        self._own.close()

    def search(self, problems: Iterable[Problem]) -> Iterator[Tree | Failure]:
        """Search problems and yield each as it ends, in order of completion.

        Closing the iterator, or an exception in it, abandons what is under way. The caller's own time between two trees
        counts as idle.

        Raises:
            ProblemError: two problems have one id.
        """
        search, inbox = Search(self.config), Inbox()
        search.add(problems)
        to_score: list[ScoreRequest] = []
        try:
            while not search.done:
                with self._clock("tree"):
                    work = search.ask()
                    self._submit(work, inbox)
                    to_score += work.score
                results = self._advance(to_score, inbox)
                with self._clock("tree"):
                    for request_id, result in [*results, *inbox.take()]:
                        search.tell(request_id, result)
                    ended = search.finished()
                for one in ended:
                    with self._clock("idle"):
                        yield one
            yield from search.finished()
        finally:
            self.policy.cancel()

    def _submit(self, work: Work, inbox: Inbox) -> None:
        if work.expand:
            self.policy.add(work.expand)
        for run in work.run:
            inbox.watch(run.id, "execution", self.runner.submit(run.steps))
        for grade in work.grade:
            inbox.watch(grade.id, "grading", self.verifier.submit(grade.problem, grade.answer))

    def _advance(self, to_score: list[ScoreRequest], inbox: Inbox) -> list[tuple[int, Result]]:
        """Use the models for what is ready, or wait for the workers where nothing is."""
        if to_score and self.scorer is not None:
            with self._clock("scoring"):
                scores = self.scorer.score(to_score)
            to_score.clear()
            return [(one.request_id, one) for one in scores]
        if self.policy.pending:
            with self._clock("policy"):
                return [(one.request_id, one) for one in self.policy.step()]
        if not inbox.num_open("execution") + inbox.num_open("grading"):
            raise PolicyError("the policy has no request pending, and yet the search waits for its answers")
        with self._clock("execution" if inbox.num_open("execution") else "grading"):
            inbox.wait()
        return []

    @contextmanager
    def _clock(self, share: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[share] += time.perf_counter() - started


def step_limits(config: SearchConfig) -> Limits:
    """What one program may use under a config."""
    return Limits(wall_s=config.wall_limit_s, memory_bytes=config.memory_limit_mb << 20)
