"""The most tokens per second that simulated engines can write for a number of problems."""

from collections.abc import Sequence

from rstar_fast.bench.machine import Machine
from rstar_fast.bench.request_times import ExpansionTime


def bounds(
    machine: Machine, num_active: int, expansions: Sequence[ExpansionTime]
) -> dict[str, float]:
    """Return upper bounds of the tokens per second, by what sets them.

    - "policy": all its places are taken.
    - "scoring", "execution": the resource never rests.
    - "path": every problem has an expansion under way all the time, and each expansion goes at the
      speed of an empty machine: its longest candidate, then its longest program, then its scores.

    Args:
        machine: Machine that is simulated.
        num_active: Number of problems at once, with one expansion each.
        expansions: Expansions of a search on this machine. Without any, only "policy" is told.
    """
    tokens = sum(found.requests[0].num_tokens for found in expansions)
    programs = [one.program_s for found in expansions for one in found.of("execution")]
    rows = [one.num_rows for found in expansions for one in found.of("scoring")]
    path_s = sum(alone_s(machine, found) for found in expansions)
    most = {"policy": machine.tokens_per_s}
    if path_s:
        most["path"] = tokens * num_active / path_s
    if rows:
        most["scoring"] = tokens * machine.scores_per_s / sum(rows)
    if sum(programs):
        most["execution"] = tokens * machine.workers / sum(programs)
    return most


def alone_s(machine: Machine, expansion: ExpansionTime) -> float:
    """Return the seconds that an expansion takes on an empty machine."""
    first = expansion.requests[0]
    took = first.longest_tokens * machine.latency_s
    took += max((one.program_s for one in expansion.of("execution")), default=0.0)
    return took + sum(
        max(machine.score_latency_s, one.num_rows / machine.scores_per_s)
        for one in expansion.of("scoring")
    )
