"""The error hierarchy. Everything that this package raises on purpose is an `RStarError`.

A message says what was expected, what came, and where.
"""


def described(error: BaseException) -> str:
    """Return the type and the text of any exception, as in "ValueError: no"."""
    return f"{type(error).__name__}: {text_of(error)}"


def text_of(error: BaseException) -> str:
    """Return the text of any exception, also of one whose `__str__` raises."""
    try:
        return str(error)
    except Exception:
        return f"(its text cannot be read: {type(error).__name__}.__str__ raises)"


class RStarError(Exception):
    """The base of all errors of rstar_fast."""


class ConfigError(RStarError, ValueError):
    """An option is unknown or out of range, clashes with another, or needs a missing package."""


class ProblemError(RStarError, ValueError):
    """A problem, or a file of problems, is malformed."""


class ForestError(RStarError, ValueError):
    """A call to the tree core was refused. The forest is unchanged."""


class CapacityError(ForestError):
    """A tree or the forest has no room for more nodes. The forest is unchanged."""


class PackError(RStarError, ValueError):
    """Trees cannot be packed, or attention over packed trees cannot be computed, as asked."""


class KernelError(RStarError, ValueError):
    """An operation on packed trees was given wrong input, or has no such implementation here."""


class SearchError(RStarError):
    """The search was driven wrongly, as by a result of a request that was never made."""


class PolicyError(RStarError):
    """The policy could not be loaded, or could not answer a request."""


class ScoreError(RStarError):
    """The PPM could not be loaded, or could not score a request."""


class TransientError(RStarError):
    """A fault that will pass, as of a busy server. An engine raises it to be asked again.

    Args:
        message: What the engine said.
        retry_after_s: Seconds after which it wants to be asked again, >= 0. None if it does not
            say.

    Attributes:
        retry_after_s: The same.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutageError(RStarError):
    """An engine has not answered any request for longer than a search waits."""


class ExecutorError(RStarError):
    """The worker processes that run steps and grade answers could not be started or kept alive."""


class IsolationError(ExecutorError):
    """Isolation was required, and this machine does not permit it."""


class StoreError(RStarError):
    """A run folder has another configuration, is damaged, is in use, or is not writable."""


class DataError(RStarError, ValueError):
    """Trees, or a file of training data, do not hold the wanted data."""


class TrainError(RStarError):
    """A model cannot be trained as asked."""


class StageError(RStarError):
    """A stage of a self-evolution failed. Finished stages stay."""


class InternalError(RStarError):
    """A bug in rstar_fast. Please report it."""
