"""An environment of TRL's GRPOTrainer in which a model runs Python, one step at a time.

    GRPOTrainer(..., environment_factory=PythonEnvironment)

Each rollout has a program of its own that grows call by call. All of them run in one executor, in
confined processes. TRL drives a rollout in a line: for trees, `rstar_fast` searches itself.
"""

from functools import cache

from rstar_fast import Executor
from rstar_fast.verify import Limits


@cache
def executor() -> Executor:
    """The executor of all environments of this process."""
    return Executor(limits=Limits(wall_s=30), style="step")


class PythonEnvironment:
    def reset(self, **row: object) -> None:
        """Begin an empty program, at the beginning of a rollout."""
        self._session = executor().session()

    def run_python(self, code: str) -> str:
        """Run Python code. Names of earlier calls that succeeded are still there.

        Args:
            code: The code. Print what you want to see.

        Returns:
            What the code printed, or the value of its last line, and the error if there was one.
        """
        return self._session.run(f"{code}\n").text


if __name__ == "__main__":
    environment = PythonEnvironment()
    environment.reset(question="What is 6 * 7?")
    print(environment.run_python("x = 6"), environment.run_python("x / 0"))
    print(environment.run_python("print(x * 7)"))
    executor().close()
