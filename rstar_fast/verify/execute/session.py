"""A program that grows step by step. Runs in the main process."""

from typing import Protocol

from rstar_fast.verify.base import Observation, Status


class _Runs(Protocol):
    def run(self, steps: tuple[str, ...]) -> Observation: ...


class ProgramSession:
    r"""A program that is given one step at a time.

    Each step runs once, from the state that the step before it left. A context manager.

    >>> from rstar_fast import Executor
    >>> with Executor(workers=1) as executor, executor.session() as session:
    ...     session.run("<code>\nx = 6\n<end_of_step>").text
    ...     session.run("\nprint(x * 7)\n<end_of_step>").text
    ''
    '42'

    Attributes:
        steps: Texts of the steps that have succeeded so far.
    """

    def __init__(self, executor: _Runs) -> None:
        """Begin an empty program. To be called through `Executor.session`."""
        self._executor = executor
        self.steps: tuple[str, ...] = ()

    def run(self, step: str) -> Observation:
        """Add a step, run it, and return the observation of the program so far.

        A step that fails is not added, and the next step takes its place.

        Raises:
            ExecutorError: The executor is closed, or its workers cannot be started.
        """
        steps = (*self.steps, step)
        observation = self._executor.run(steps)
        if observation.status is Status.OK:
            self.steps = steps
        return observation

    def __enter__(self) -> "ProgramSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.steps = ()
