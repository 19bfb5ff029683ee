"""The one error hierarchy. Everything this package raises on purpose is an `RStarError`.

A message says what was expected, what came and where.
"""


class RStarError(Exception):
    """Base of all errors of rstar_fast."""


class ConfigError(RStarError, ValueError):
    """An option is unknown, out of range, or clashes with another."""


class ProblemError(RStarError, ValueError):
    """A problem, or a file of problems, is malformed."""


class ForestError(RStarError, ValueError):
    """A call to the tree core was refused; the forest is unchanged."""


class CapacityError(ForestError):
    """A tree or the forest has no room for the nodes asked for; the forest is unchanged."""


class PackError(RStarError, ValueError):
    """Trees cannot be packed, or packed trees cannot be attended over, as asked."""


class KernelError(RStarError, ValueError):
    """An operation on packed trees was given what it cannot compute, or has no such implementation here."""


class SearchError(RStarError):
    """The search was driven wrongly, such as by an answer to a request that was never made."""


class PolicyError(RStarError):
    """The policy could not be loaded, or could not answer a request."""


class ScoreError(RStarError):
    """The PPM could not be loaded, or could not score a request."""


class ExecutorError(RStarError):
    """The worker processes that run steps and grade answers could not be started or kept alive."""


class IsolationError(ExecutorError):
    """Isolation was required, and this machine does not permit it."""


class StoreError(RStarError):
    """A run folder cannot be used: written by another configuration, damaged, or in use."""


class DataError(RStarError, ValueError):
    """Trees, or a file of training data, do not give the data asked for."""


class TrainError(RStarError):
    """A model cannot be trained as asked."""


class StageError(RStarError):
    """A stage of a self-evolution failed; what is finished stays."""


class InternalError(RStarError):
    """A bug in rstar_fast: please report it."""
