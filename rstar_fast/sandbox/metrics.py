"""Counts and times of the server, as Prometheus reads them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_PREFIX = "rstar_fast_sandbox"


class Histogram:
    """Times, counted by how long they were."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one time."""
        self._counts[bisect_left(_BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def lines(self, name: str) -> list[str]:
        """Return the lines about it."""
        found, total = [], 0
        for bound, count in zip((*_BOUNDS_S, "+Inf"), self._counts, strict=True):
            total += count
            found.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*found, f"{name}_sum {self._sum_s:.6f}", f"{name}_count {total}"]


class Metrics:
    """What the server counts.

    Attributes:
        requests: Number of responses, keyed by route and status code.
        programs: Number of programs that ended, keyed by kind ("script", "step") and status.
        request_s: Times of requests from their last byte to the response.
        program_s: Times of programs.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.programs: Counter[tuple[str, str]] = Counter()
        self.request_s = Histogram()
        self.program_s = Histogram()

    def text(self, now: Mapping[str, int]) -> str:
        """Return the page.

        Args:
            now: Numbers of the moment, keyed by name.
        """
        lines = [f"# TYPE {_PREFIX}_requests_total counter"]
        lines += [
            f'{_PREFIX}_requests_total{{route="{route}",code="{code}"}} {count}'
            for (route, code), count in sorted(self.requests.items())
        ]
        lines.append(f"# TYPE {_PREFIX}_programs_total counter")
        lines += [
            f'{_PREFIX}_programs_total{{kind="{kind}",status="{status}"}} {count}'
            for (kind, status), count in sorted(self.programs.items())
        ]
        for name, times in (("request", self.request_s), ("program", self.program_s)):
            lines.append(f"# TYPE {_PREFIX}_{name}_seconds histogram")
            lines += times.lines(f"{_PREFIX}_{name}_seconds")
        for name, number in now.items():
            lines += [f"# TYPE {_PREFIX}_{name} gauge", f"{_PREFIX}_{name} {number}"]
        return "\n".join(lines) + "\n"
