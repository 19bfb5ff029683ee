"""What a bench is told: the machine to simulate, and the times to measure."""

from dataclasses import dataclass

SIMULATE = "simulate"
"""Name of the engines of `simulated`."""


@dataclass(frozen=True)
class Machine:
    """The machine that is simulated.

    Attributes:
        tokens_per_s: Tokens that the policy writes per second with all places taken.
        places: Number of candidates that are written at once.
        latency_s: Shortest duration of a step of the policy, seconds.
        step_tokens: Mean length of a candidate, tokens.
        scores_per_s: Partial solutions that are scored per second.
        score_latency_s: Shortest duration of a batch of scores, seconds.
        workers: Number of programs that run at once.
        program_s: Mean duration of a program, seconds.
        slow_share: Share of programs that take `slow_s` instead, in [0, 1].
        slow_s: Duration of a slow program, seconds.
    """

    tokens_per_s: float = 20_000.0
    places: int = 256
    latency_s: float = 0.006
    step_tokens: float = 60.0
    scores_per_s: float = 2_000.0
    score_latency_s: float = 0.01
    workers: int = 64
    program_s: float = 0.02
    slow_share: float = 0.01
    slow_s: float = 5.0


@dataclass(frozen=True)
class Windows:
    """The times of a measurement.

    Attributes:
        warm_up_s: Seconds before measuring begins. It also waits for the first expansion.
        seconds: Seconds of each window.
        count: Number of windows, which follow each other. Their spread is reported.
    """

    warm_up_s: float
    seconds: float
    count: int
