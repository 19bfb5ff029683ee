"""What a fault of an engine costs: one problem, or the run once nothing works any more."""

from rstar_fast.errors import RStarError, described

BROKEN_AFTER = 8
"""Number of requests that fail in a row, each tried alone, before an engine counts as broken."""


class Faults:
    """Counts the faults of one engine.

    Attributes:
        engine: Name of the engine in messages.
        in_a_row: Number of faults since the last answer. Whoever receives an answer sets it to 0.
    """

    def __init__(self, engine: str, error: type[RStarError]) -> None:
        """Count the faults of `engine`, and make errors of type `error` of them."""
        self.engine = engine
        self._error = error
        self.in_a_row = 0

    def failed(self, cause: Exception) -> RStarError:
        """Return the error of a problem whose request has failed for good.

        Raises:
            RStarError: The engine is broken. The error has the type given at the start, and `cause`
                as its cause.
        """
        self.in_a_row += 1
        what = described(cause)
        if self.in_a_row >= BROKEN_AFTER:
            raise self._error(
                f"{self.engine} failed on {BROKEN_AFTER} requests in a row; "
                f"the last time with {what}"
            ) from cause
        error = self._error(f"{self.engine} failed twice: {what}")
        error.__cause__ = cause
        return error
