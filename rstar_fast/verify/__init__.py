"""Running steps and grading final answers, in worker processes that can be killed."""

from rstar_fast.verify.base import Grade, Limits, Observation, Status, StepRunner, Verifier
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
    "Status",
    "StepRunner",
    "Verifier",
]
