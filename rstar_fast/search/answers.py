"""The answers of engines, checked as they arrive. A bad one fails its problem and nothing else."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, cast, get_args

import numpy as np

from rstar_fast._core import ids_to_bytes, logprobs_to_bytes
from rstar_fast.errors import ExecutorError, PolicyError, RStarError, ScoreError, described
from rstar_fast.policy.base import MAX_VERSION, Candidate, ExpandRequest, Expansion, Finish
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.search.work import GradeRequest, Request, RunRequest
from rstar_fast.verify.base import Grade, Layer, Observation, Status


class WrittenStep(NamedTuple):
    """A checked candidate, see `policy.Candidate`.

    Attributes:
        text: Text that the policy wrote.
        id_bytes: Token ids as int32.
        logprob_bytes: Log-probabilities as float32.
        exact: Whether the token ids spell exactly the text.
        finish: Way in which the step ended.
        ends_with_token: Whether its last token is a stop mark.
        version: Number of the weights that drew it.
    """

    text: str
    id_bytes: bytes
    logprob_bytes: bytes
    exact: bool
    finish: Finish
    ends_with_token: bool
    version: int = 0

    def with_text(self, text: str, exact: bool) -> "WrittenStep":
        """Return the step with another text. `_replace` takes three times as long."""
        return _new_step((text, *self[1:3], exact, *self[4:]))


# A class of tuples makes its objects by a function of Python, which takes four times as long.
_new_step = cast("Callable[[Iterable[Any]], WrittenStep]", partial(tuple.__new__, WrittenStep))

Answer = list[WrittenStep] | Observation | Grade | list[float]
"""A checked answer to a request for an expansion, a run, a grade or scores."""

_FINISHES = get_args(Finish)
_OBSERVATION = attrgetter("text", "status", "wall_s", "cpu_s", "peak_bytes")
_LOW, _HIGH = -1e18, 1e18
"""Bounds of an observation's numbers. NaN is not within them."""


def checked(request: Request, result: Any) -> Answer:
    """Return what a result says, in the form in which trees take it.

    Args:
        request: The request.
        result: Result of the request's kind (`work.RESULT_OF`), with fields of any type.

    Raises:
        PolicyError: An expansion has an error, or no valid candidates.
        ScoreError: Scores have an error, or are not one number in [-1, 1] for every child.
        ExecutorError: An observation or a grade has fields of other types than it should.
    """
    kind = type(request)
    try:
        return _CHECKS[kind][0](request, result)
    except RStarError:
        raise
    except Exception as error:
        # Fields of foreign types run code when they are looked at.
        _, error_type, engine = _CHECKS[kind]
        raise error_type(
            f"{engine} gave an answer at node {request.node} that cannot be read: "
            f"{described(error)}"
        ) from error


def _expansion(request: ExpandRequest, result: Expansion) -> list[WrittenStep]:
    where = f"at node {request.node}"
    if result.error is not None:
        raise PolicyError(f"the policy failed {where}: {_shown(result.error)}")
    candidates = result.candidates
    if not isinstance(candidates, Sequence) or isinstance(candidates, str):
        raise PolicyError(f"the policy gave {_shown(candidates)} for candidates {where}")
    if not 1 <= len(candidates) <= request.num_candidates:
        raise PolicyError(
            f"the policy gave {len(candidates)} candidates {where}; "
            f"expected 1 to {request.num_candidates}"
        )
    if set(map(type, candidates)) != {Candidate}:
        for i, one in enumerate(candidates):
            if not isinstance(one, Candidate):
                raise PolicyError(
                    f"the policy gave {_shown(one)} {where}; "
                    f"expected candidate {i} to be a Candidate"
                )
    texts, finishes, exacts, ends = zip(
        *[(one.text, one.finish, one.exact, one.ends_with_token) for one in candidates], strict=True
    )
    # All at once is faster than one by one, and almost always enough.
    if set(map(type, texts)) != {str} or not all(one in _FINISHES for one in set(finishes)):
        _refuse_texts(candidates, where)
    if set(map(type, exacts + ends)) != {bool}:
        _refuse_texts(candidates, where)
    versions = [one.version for one in candidates]
    if set(map(type, versions)) != {int} or min(versions) < 0 or max(versions) > MAX_VERSION:
        raise PolicyError(
            f"the policy gave the versions {', '.join(map(_shown, versions))} {where}; "
            "expected an integer of at least 0 for each candidate"
        )
    try:
        ids = ids_to_bytes([one.token_ids for one in candidates])
        logprobs = logprobs_to_bytes([one.logprobs for one in candidates])
    except Exception as error:
        raise PolicyError(
            f"the policy gave invalid token ids or log-probabilities {where}: {described(error)}"
        ) from error
    for i, (of_ids, of_logprobs) in enumerate(zip(ids, logprobs, strict=True)):
        if of_logprobs and len(of_logprobs) != len(of_ids):
            raise PolicyError(
                f"the policy gave {len(of_ids) // 4} token ids and {len(of_logprobs) // 4} "
                f"log-probabilities for candidate {i} {where}; expected as many, or none"
            )
    return list(
        map(_new_step, zip(texts, ids, logprobs, exacts, finishes, ends, versions, strict=True))
    )


def _refuse_texts(candidates: Sequence[Candidate], where: str) -> None:
    """Raise `PolicyError` for the first candidate whose text, `finish` or flag is none."""
    for i, one in enumerate(candidates):
        if not isinstance(one.text, str):
            raise PolicyError(
                f"the policy gave the text {_shown(one.text)} {where}; expected candidate {i} to "
                "have a str"
            )
        if one.finish not in _FINISHES or {type(one.exact), type(one.ends_with_token)} != {bool}:
            raise PolicyError(
                f"the policy gave finish {_shown(one.finish)}, exact {_shown(one.exact)} and "
                f"ends_with_token {_shown(one.ends_with_token)} for candidate {i} {where}; "
                f"expected one of {', '.join(_FINISHES)}, and bools"
            )


def _observation(request: RunRequest, result: Observation) -> Observation:
    # Most results are those of programs, so this is the short way for what is as it should be.
    text, status, wall_s, cpu_s, peak_bytes = _OBSERVATION(result)
    if (
        type(text) is str
        and type(status) is Status
        and _LOW < wall_s < _HIGH
        and _LOW < cpu_s < _HIGH
        and _LOW < peak_bytes < _HIGH
    ):
        return result
    raise ExecutorError(
        f"the runner gave text {_shown(result.text)}, status {_shown(result.status)} and wall_s "
        f"{_shown(result.wall_s)} for node {request.node}; "
        "expected a str, a Status and finite numbers"
    )


def _grade(request: GradeRequest, result: Grade) -> Grade:
    flags = {type(result.correct), type(result.unsure)}
    if flags == {bool} and isinstance(result.status, Status) and isinstance(result.layer, Layer):
        return result
    raise ExecutorError(
        f"the verifier gave correct {_shown(result.correct)}, unsure {_shown(result.unsure)}, "
        f"status {_shown(result.status)} and layer {_shown(result.layer)} for the answer of node "
        f"{request.node}; expected bools, a Status and a Layer"
    )


def _scores(request: ScoreRequest, result: Scores) -> list[float]:
    where = f"the {len(request.children)} children of node {request.node}"
    if result.error is not None:
        raise ScoreError(f"the PPM failed at {where}: {_shown(result.error)}")
    try:
        array = np.asarray(result.values)
    except Exception as error:
        raise ScoreError(f"the PPM gave no numbers for {where}: {described(error)}") from error
    if array.dtype.kind not in "fiu" or array.shape != (len(request.children),):
        raise ScoreError(
            f"the PPM gave an array of shape {array.shape} and type {array.dtype} as scores for "
            f"{where}; expected one number for each"
        )
    values: list[float] = array.astype(np.float64).tolist()
    for i, value in enumerate(values):
        if not -1.0 <= value <= 1.0:
            raise ScoreError(
                f"the PPM gave {value} for child {i} of {where}; expected a number in [-1, 1]"
            )
    return values


_CHECKS: dict[type[Request], tuple[Callable[[Any, Any], Answer], type[RStarError], str]] = {
    ExpandRequest: (_expansion, PolicyError, "the policy"),
    RunRequest: (_observation, ExecutorError, "the runner"),
    GradeRequest: (_grade, ExecutorError, "the verifier"),
    ScoreRequest: (_scores, ScoreError, "the PPM"),
}


def _shown(value: object) -> str:
    """Return a value of any type for an error's text."""
    if isinstance(value, str):
        return value if len(value) <= 500 else f"{value[:497]}..."
    if value is None or isinstance(value, bool | int | float):
        try:
            return repr(value)
        except ValueError:
            # An integer of thousands of digits.
            return "a huge integer"
    return f"an object of type {type(value).__name__}"
