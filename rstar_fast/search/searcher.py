"""Our own driver over the ask/tell search: one policy, one PPM, one pool of programs, one verifier."""

import asyncio
import queue
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, SearchError
from rstar_fast.failure import Failure
from rstar_fast.policy.base import Policy
from rstar_fast.ppm.base import Scorer
from rstar_fast.problems import Problem
from rstar_fast.search.activity import Stats
from rstar_fast.search.session import SearchEnded, SearchSession
from rstar_fast.tree import Tree
from rstar_fast.verify import ArithmeticRunner, Executor, Limits, MathVerifier
from rstar_fast.verify.base import StepRunner, Verifier


class Searcher:
    """Searches problems with the engines given. A context manager: leaving it stops the workers it started itself.

    Every problem goes at its own pace: while programs run for some trees, the policy writes for others and the PPM scores others
    (see `SearchSession`). Trees don't depend on the pace. The search goes on while the caller looks at a tree, until `config.max_active`
    problems are under way or not yet taken.

    An engine that raises is asked again, about the requests it had one by one if need be. A request that fails alone ends its
    problem as a `Failure` and no other; `faults.BROKEN_AFTER` such in a row, with no answer between them, end the search with the
    engine's error. Engines that know of outages wait and repeat by themselves.

    Args:
        policy: writes the steps.
        config: how to search.
        scorer: the PPM; needed if, and only if, `config.use_scores`.
        runner: runs the steps; left out, an `Executor` by the config's limits, behind an `ArithmeticRunner`.
        verifier: grades final answers; left out, a `MathVerifier`.

    Attributes:
        stats: what the engines did, over all searches; up to date while one is under way.

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
        self.runner = runner or self._own.enter_context(step_runner(config))
        self.verifier = verifier or self._own.enter_context(
            MathVerifier(limit_s=config.grade_limit_s)
        )
        self.stats = Stats()
        self._session: SearchSession | None = None

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop a search that is under way and the workers that this searcher started; those that were given are left alone."""
        if self._session is not None:
            self._session.close()
        self._own.close()

    def search(self, problems: Iterable[Problem]) -> Generator[Tree | Failure, None, None]:
        """Search problems and yield each as it ends, in order of completion.

        Closing the iterator, or an exception in it, abandons what is under way and waits for the engines to come to rest. A second
        search of one searcher abandons the first.

        Args:
            problems: may be lazy and endless; drawn from in another thread, at most `config.max_active` ahead of the caller.

        Raises:
            ProblemError: two problems have one id, or one is no problem.
            RStarError: an engine is broken.
        """
        outbox: queue.SimpleQueue[Tree | Failure | SearchEnded] = queue.SimpleQueue()
        session = self._begin(problems, outbox.put)
        try:
            while not isinstance(ended := outbox.get(), SearchEnded):
                session.claim()
                yield ended
        finally:
            self._finish(session)
        if ended.error is not None:
            raise ended.error

    async def asearch(self, problems: Iterable[Problem]) -> AsyncGenerator[Tree | Failure, None]:
        """`search` for asyncio: the event loop is never blocked, and cancelling the task ends the search.

        As with any asynchronous generator, leave a loop over it early under `contextlib.aclosing`.
        """
        loop = asyncio.get_running_loop()
        outbox: asyncio.Queue[Tree | Failure | SearchEnded] = asyncio.Queue()

        def deliver(ended: Tree | Failure | SearchEnded) -> None:
            with suppress(RuntimeError):  # the loop was closed, and nobody waits
                loop.call_soon_threadsafe(outbox.put_nowait, ended)

        session = self._begin(problems, deliver)
        ended: Tree | Failure | SearchEnded | None = None
        try:
            while not isinstance(ended := await outbox.get(), SearchEnded):
                session.claim()
                yield ended
        finally:
            session.stop()
            while not isinstance(ended, SearchEnded):
                ended = await outbox.get()
            self._finish(session)
        if ended.error is not None:
            raise ended.error

    def _begin(
        self, problems: Iterable[Problem], deliver: Callable[[Tree | Failure | SearchEnded], None]
    ) -> SearchSession:
        if self._session is not None:
            self._session.stop(
                SearchError("abandoned: another search was begun by the same searcher")
            )
            self._session.close()
        self._session = SearchSession(
            self.config,
            self.policy,
            self.scorer,
            self.runner,
            self.verifier,
            problems,
            deliver,
            self.stats,
        )
        return self._session

    def _finish(self, session: SearchSession) -> None:
        session.close()
        if self._session is session:
            self._session = None


@contextmanager
def step_runner(config: SearchConfig, workers: int | None = None) -> Iterator[StepRunner]:
    """What runs the steps under a config: plain arithmetic in this process, all else in `workers` others (None: one per core)."""
    limits = Limits(wall_s=config.wall_limit_s, memory_bytes=config.memory_limit_mb << 20)
    with Executor(workers, limits, config.observation) as executor:
        yield ArithmeticRunner(executor) if config.observation == "stdout" else executor
