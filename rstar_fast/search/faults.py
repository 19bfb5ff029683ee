"""What a fault of an engine costs: one problem, or, where nothing works any more, the run."""

from rstar_fast.errors import RStarError

BROKEN_AFTER = 8
"""So many requests in a row failed, each tried alone and none answered in between: the engine is taken to be broken."""


class Faults:
    """Counts the faults of one engine.

    Attributes:
        engine: what to call it in messages.
        in_a_row: faults since it last answered a request; set to 0 by who gets an answer.
    """

    def __init__(self, engine: str, error: type[RStarError]) -> None:
        """Count for `engine`, whose faults become errors of a type."""
        self.engine = engine
        self._error = error
        self.in_a_row = 0

    def failed(self, cause: Exception) -> RStarError:
        """A request failed for good: the error of its problem.

        Raises:
            RStarError: the engine is broken; of the type given, caused by `cause`.
        """
        self.in_a_row += 1
        what = f"{type(cause).__name__}: {cause}"
        if self.in_a_row >= BROKEN_AFTER:
            raise self._error(
                f"{self.engine} failed on {BROKEN_AFTER} requests in a row; the last time with {what}"
            ) from cause
        error = self._error(f"{self.engine} failed twice: {what}")
        error.__cause__ = cause
        return error
