"""Observations of programs that ended without an answer.

Used in the main process and in the supervisor.
"""

import os
import resource
import signal

from rstar_fast.verify.base import Observation, ScriptResult, Status
from rstar_fast.verify.execute.observation_text import after_output


def timed_out(
    limit_s: float, printed: str = "", wall_s: float = 0.0, cpu_s: float = 0.0
) -> Observation:
    """Return the observation of a program that was killed at its time limit.

    Args:
        limit_s: Time limit, seconds.
        printed: What the program printed until then.
        wall_s: Wall time that its process lived, seconds.
        cpu_s: Processor time of its process, seconds.
    """
    text = after_output(printed, f"TimeoutError: not finished after {limit_s:g} s")
    return Observation(Status.TIMEOUT, text, wall_s, cpu_s)


def crashed(
    wait_status: int, usage: resource.struct_rusage, printed: str, wall_s: float
) -> Observation:
    """Return the observation of a program whose process ended by itself.

    Args:
        wait_status: Status of the process from `os.wait4`.
        usage: Resources that the process used, from `os.wait4`.
        printed: What the program printed until then.
        wall_s: Wall time that the process lived, seconds.
    """
    if os.WIFSIGNALED(wait_status):
        number = os.WTERMSIG(wait_status)
        # Real-time signals have no names.
        is_named = number in set(signal.Signals)
        how = f"signal {signal.Signals(number).name if is_named else number}"
    else:
        how = f"exit status {os.WEXITSTATUS(wait_status)}"
    cpu_s = usage.ru_utime + usage.ru_stime
    text = after_output(printed, f"CrashError: {how}")
    return Observation(Status.CRASH, text, wall_s, cpu_s, usage.ru_maxrss << 10)


def malformed(sender: str, wall_s: float = 0.0) -> Observation:
    """Return the observation of a program about which something malformed was sent.

    Args:
        sender: Name of the process that sent it.
        wall_s: Wall time that the program took, seconds.
    """
    return Observation(Status.PROTOCOL, f"ProtocolError: {sender} sent a malformed answer", wall_s)


def too_long(num_chars: int, limit_chars: int) -> Observation:
    """Return the observation of a program that is too long to be run."""
    text = f"SyntaxError: the program has {num_chars} characters, and at most {limit_chars} are run"
    return Observation(Status.ERROR, text)


def of_script(failure: Observation) -> ScriptResult:
    """Return the result of a script that never ran to its end, of what a program would show."""
    return ScriptResult(failure.status, None, "", failure.text, wall_s=failure.wall_s)


def lost() -> Observation:
    """Return the observation of a program whose processes ended through no fault of its own."""
    text = "LostError: the processes that were to run the program ended"
    return Observation(Status.LOST, text)
