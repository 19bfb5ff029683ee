"""The package's own driver of the ask/tell search."""

import asyncio
import queue
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress

from rstar_fast.checks import check_integer
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, SearchError
from rstar_fast.failure import Failure
from rstar_fast.policy.base import AsyncPolicy, Policy
from rstar_fast.ppm.base import AsyncScorer, Scorer
from rstar_fast.problems import Problem
from rstar_fast.search.activity import Stats
from rstar_fast.search.messages import Delivery, SearchEnded, WeightUpdate
from rstar_fast.search.observing import Observer
from rstar_fast.search.recording import Recording
from rstar_fast.search.search import Progress
from rstar_fast.search.session import SearchSession
from rstar_fast.tree import Tree
from rstar_fast.verify import ArithmeticRunner, Executor, Limits, MathVerifier
from rstar_fast.verify.base import StepRunner, Verifier


class Searcher:
    """Searches problems with given engines.

    A context manager: leaving it stops the workers that it started.

    Every problem goes at its own pace. While programs run for some trees, the policy writes for
    others and the PPM scores others (see `SearchSession`). Trees do not depend on the pace. The
    search goes on while the caller looks at a tree, until `config.max_active` problems are under
    way or not yet taken.

    An engine that raises is asked again, if need be about each of its requests alone. A request
    that fails alone ends its own problem as a `Failure`, and no other. After `faults.BROKEN_AFTER`
    such failures in a row, without an answer between them, the search ends with the engine's error.
    An engine that knows of outages waits and repeats by itself.

    An engine with a method `submit` is an `AsyncPolicy` or `AsyncScorer`. Each of its requests
    begins at once, and is cancelled if its problem ends before it.

    Args:
        policy: Policy that writes the steps: a `Policy` or an `AsyncPolicy`.
        config: Configuration of the search.
        scorer: PPM, a `Scorer` or an `AsyncScorer`. Needed exactly if `config.use_scores`.
        runner: Runner of the steps. None for an `Executor` with the limits of the configuration,
            behind an `ArithmeticRunner`. It confines programs as far as this machine can.
        verifier: Verifier of the final answers. None for a `MathVerifier`.

    Attributes:
        stats: Counts of the engines' work over all searches, up to date while one is under way.
        observer: Observer of the requests of the searches that begin from now on. None for none.

    Raises:
        ConfigError: `config.use_scores` and `scorer` do not fit together.
    """

    def __init__(
        self,
        policy: Policy | AsyncPolicy,
        config: SearchConfig,
        scorer: Scorer | AsyncScorer | None = None,
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
        self.observer: Observer | None = None
        self._session: SearchSession | None = None

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop a search that is under way, and the workers that this searcher started.

        Given engines are left alone.
        """
        if self._session is not None:
            self._session.close()
        self._own.close()

    def progress(self) -> Progress:
        """Return how far the problems under way are. Zeros while no search is under way."""
        session = self._session
        return Progress() if session is None else session.progress()

    def update(
        self,
        version: int,
        change: Callable[[], None] | None = None,
        *,
        finish: bool = False,
        staleness: int | None = None,
    ) -> None:
        """Change the weights of the policy, also in the middle of a search, and wait for it.

        The change is made between two steps of the policy. Its caches are dropped, and requests
        under way begin again, so that all tokens of a candidate are of the same weights. A tree
        goes on with the new weights from where it is, and each node says which drew it
        (`Node.version`). Results that wait for the caller stay.

        May be called from any thread, also between two trees that `search` yields.

        Args:
            version: Number of the new weights, >= 0.
            change: Function that changes the weights. It is called while the policy rests. None if
                they have been changed while no search was under way.
            finish: Whether the problems under way end with the old weights before the change.
                Others are not begun meanwhile.
            staleness: Number of versions that a step may lie behind, >= 0. After the change, trees
                with an older step end as failures: with 0, all that have a step of other weights.
                None for any number.

        Raises:
            ConfigError: The policy cannot be updated, or a number is out of range.
        """
        if staleness is not None:
            check_integer("staleness", staleness, low=0)
        if not hasattr(self.policy, "update"):
            raise ConfigError(
                f"policy {self.policy.name!r}: expected one with a method update(version), as "
                "TransformersPolicy and VLLMPolicy have"
            )
        policy = self.policy

        def whole() -> None:
            if change is not None:
                change()
            policy.update(version)

        session = self._session
        if session is None:
            whole()
            return
        update = WeightUpdate(whole, version, finish, staleness, Future())
        session.update(update)
        update.done.result()

    def search(
        self, problems: Iterable[Problem], recording: Recording | None = None
    ) -> Generator[Tree | Failure, None, None]:
        """Search problems and yield each one as it ends, as a `Tree` or a `Failure`.

        Closing the iterator, or an exception in it, abandons what is under way and waits until the
        engines rest. A second search of the same searcher abandons the first.

        Args:
            problems: Problems. The iterable may be lazy and endless. Another thread draws from it,
                at most `config.max_active` problems ahead of the caller.
            recording: Record of what engines tell, which is kept up to date. Trees go on where it
                says that they were. None to keep none.

        Raises:
            ProblemError: Two problems have the same id and copy, or an item is no `Problem`.
            RStarError: An engine is broken.
        """
        outbox: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        session = self._begin(problems, outbox.put, recording)
        try:
            while not isinstance(ended := outbox.get(), SearchEnded):
                session.claim()
                yield ended
        finally:
            self._finish(session)
        if ended.error is not None:
            raise ended.error

    async def asearch(self, problems: Iterable[Problem]) -> AsyncGenerator[Tree | Failure, None]:
        """Search problems under asyncio; see `search`.

        The event loop is never blocked, and cancelling the task ends the search. To leave a loop
        early, iterate under `contextlib.aclosing`, as with any asynchronous generator.
        """
        loop = asyncio.get_running_loop()
        outbox: asyncio.Queue[Delivery] = asyncio.Queue()

        def deliver(ended: Delivery) -> None:
            # The loop may be closed, and then nobody waits for the message.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(outbox.put_nowait, ended)

        session = self._begin(problems, deliver)
        ended: Delivery | None = None
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
        self,
        problems: Iterable[Problem],
        deliver: Callable[[Delivery], None],
        recording: Recording | None = None,
    ) -> SearchSession:
        if self._session is not None:
            self._session.stop(
                SearchError("abandoned: another search was begun by the same searcher")
            )
            self._session.close()
        session = SearchSession(
            self.config,
            self.policy,
            self.scorer,
            self.runner,
            self.verifier,
            problems,
            deliver,
            self.stats,
            recording,
            self.observer,
        )
        # An engine may call `update` as soon as it is asked, which then has to find the session.
        self._session = session
        session.start()
        return session

    def _finish(self, session: SearchSession) -> None:
        session.close()
        if self._session is session:
            self._session = None


@contextmanager
def step_runner(
    config: SearchConfig, workers: int | None = None, require_isolation: bool = False
) -> Iterator[StepRunner]:
    """Yield the runner of steps that a configuration describes.

    Arithmetic runs in this process, and all other programs run in worker processes.

    Args:
        config: Configuration, which sets the limits and the style of observations.
        workers: Number of worker processes, >= 1. None for one per core.
        require_isolation: Whether this machine must be able to confine programs, see `Executor`.

    Raises:
        IsolationError: It must, and it is not.
    """
    limits = Limits(wall_s=config.wall_limit_s, memory_bytes=config.memory_limit_mb << 20)
    with Executor(
        workers, limits, config.observation, require_isolation=require_isolation
    ) as executor:
        yield ArithmeticRunner(executor, config.observation)
