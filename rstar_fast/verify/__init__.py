"""Running steps and grading final answers, in worker processes that can be killed.

A module's path tells in which process it runs:

- `pool/` starts and watches worker processes: `pool` and `process` run in the main process,
  `worker` in a worker, and both sides use `wire`.
- `execute/` runs the programs of steps: its own modules run in the main process, `supervisor/` in
  the supervisor process, and `child/` in the processes that run programs.
- `grade/` grades answers: `worker` and `gym_worker` run in workers, verifiers in the main process.
- `sandbox/` confines the process that calls it, which is never the main process.
"""

from rstar_fast.verify.base import (
    Grade,
    Limits,
    Observation,
    ScriptResult,
    Status,
    StepRunner,
    Verifier,
)
from rstar_fast.verify.execute.arithmetic import ArithmeticRunner
from rstar_fast.verify.execute.executor import Executor
from rstar_fast.verify.grade.verifiers import FunctionVerifier, MathVerifier

__all__ = [
    "ArithmeticRunner",
    "Executor",
    "FunctionVerifier",
    "Grade",
    "Limits",
    "MathVerifier",
    "Observation",
    "ScriptResult",
    "Status",
    "StepRunner",
    "Verifier",
]
