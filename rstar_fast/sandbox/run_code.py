"""`POST /run_code` as SandboxFusion's clients know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rstar_fast.sandbox.messages import Refusal, number_of, text_of
from rstar_fast.verify.base import ScriptResult, Status

LANGUAGE = "python"
_RUN_TIMEOUT_S = 10.0
_MB = 1 << 20


class Unsupported(Exception):
    """The request asks for something that this server does not do. The message names it."""


@dataclass(frozen=True, slots=True)
class RunCode:
    """A script that a client wants to be run.

    Attributes:
        code: Text of the script.
        stdin: Text of its standard input.
        wall_s: Wall time, seconds. The executor's own limit holds too.
        memory_bytes: Address space, bytes. None for the executor's own limit, which holds too.
    """

    code: str
    stdin: str
    wall_s: float
    memory_bytes: int | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "RunCode":
        """Return the script of a request. Fields that are not known are ignored.

        Raises:
            Refusal: A field is missing or malformed.
            Unsupported: The language is another one, or files are to be written or fetched.
        """
        code, language = text_of(fields, "code"), text_of(fields, "language")
        number_of(fields, "compile_timeout", _RUN_TIMEOUT_S)
        wall_s = number_of(fields, "run_timeout", _RUN_TIMEOUT_S)
        if wall_s < 1e-3:
            raise Refusal(422, f"run_timeout: expected at least 0.001, got {wall_s}")
        memory_mb = int(number_of(fields, "memory_limit_MB", -1))
        if language != LANGUAGE:
            raise Unsupported(f"language: {language!r:.80} is not supported, only {LANGUAGE!r} is")
        for name, kind in (("files", dict), ("fetch_files", list)):
            given = fields.get(name)
            if given is not None and not isinstance(given, kind):
                raise Refusal(422, f"{name}: expected a {kind.__name__}, got {given!r:.80}")
            if given:
                raise Unsupported(f"{name}: not supported, programs have no files")
        memory_bytes = memory_mb * _MB if memory_mb > 0 else None
        return cls(code, text_of(fields, "stdin", ""), wall_s, memory_bytes)


def reply(result: ScriptResult) -> dict[str, Any]:
    """Return the reply about a script that was run."""
    if result.status is Status.TIMEOUT:
        status, run_status = "Failed", "TimeLimitExceeded"
    elif result.exit_code is None:
        status, run_status = "SandboxError", "Error"
    else:
        status, run_status = "Failed" if result.exit_code else "Success", "Finished"
    return _reply(
        status,
        result.stderr if status == "SandboxError" else "",
        {
            "status": run_status,
            "execution_time": result.wall_s,
            "cpu_time": None if result.exit_code is None else result.cpu_s,
            "return_code": result.exit_code,
            "stdout": result.stdout,
            "stderr": result.stderr,
        },
    )


def refusal(reason: str) -> dict[str, Any]:
    """Return the reply about a script that is not run."""
    return _reply("SandboxError", reason, None)


def _reply(status: str, message: str, run_result: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "status": status,
        "message": message,
        "compile_result": None,
        "run_result": run_result,
        "executor_pod_name": None,
        "files": {},
    }
