"""What a policy is: it is given prefixes of solutions and writes candidates for their next step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rstar_fast.steps import STOP_MARKS, Segment


@dataclass(frozen=True, slots=True)
class Sampling:
    """How candidates are drawn.

    Attributes:
        temperature: 0 is greedy, else the softmax temperature, > 0.
        top_p: nucleus mass kept, in (0, 1]; 1 keeps all.
        top_k: most probable tokens kept; 0 keeps all.
        max_tokens: a candidate is cut after this many tokens.
        stop: marks; a candidate ends behind the first one written.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 512
    stop: tuple[str, ...] = STOP_MARKS


@dataclass(frozen=True, slots=True)
class ExpandRequest:
    """Write `num_candidates` next steps behind a prefix.

    Attributes:
        id: the request's number, unique within its search.
        problem_id: with `node` and the sample's index, the key of every random draw (see `seeding.draw_key`).
        node: tree-local id of the node to be expanded.
        question: the problem's text; the policy makes its prompt from it.
        path: the solution so far, root first.
        num_candidates: how many to write, >= 1.
        seed: the search's seed.
        sampling: how to draw.
    """

    id: int
    problem_id: str
    node: int
    question: str
    path: tuple[Segment, ...]
    num_candidates: int
    seed: int
    sampling: Sampling


Finish = Literal["mark", "eos", "length"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One next step.

    Attributes:
        text: up to and including the stop mark.
        token_ids: what was sampled, in order; empty where the engine does not tell.
        logprobs: log-probability (natural log, the model's own distribution: temperature 1, unfiltered) of each token id.
        finish: "mark" (a stop mark was written), "eos" (the model ended its text), or "length" (cut at max_tokens).
        exact: whether `token_ids` spell exactly `text`; false where a token runs past the stop mark or the format adds text.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: Finish = "mark"
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Expansion:
    """The answer to an `ExpandRequest`: its candidates in order of their sample index, or the reason there are none."""

    request_id: int
    candidates: tuple[Candidate, ...] = ()
    error: str | None = None


@dataclass(slots=True)
class PolicyStats:
    """Running totals of a policy, all in tokens."""

    generated_tokens: int = 0
    encoded_tokens: int = 0
    reused_tokens: int = 0


class Policy(Protocol):
    """An engine that takes requests at any time and finishes them in any order.

    The caller adds requests, then calls `step` until `pending` is 0; more may be added between any two steps. A request that
    cannot be answered comes back as an `Expansion` with an `error`; only a broken engine raises. `Searcher` makes all calls of one
    search in one thread, and adds requests only between steps: an engine that waits for a server ends a step without a result
    after some 50 ms, and repeats what failed for an outage by itself.
    """

    name: str
    """Identity for the run record: a folder, a hub name."""
    stats: PolicyStats

    @property
    def pending(self) -> int:
        """Requests added and not yet returned."""

    def add(self, requests: Sequence[ExpandRequest]) -> None:
        """Queue requests."""

    def step(self) -> list[Expansion]:
        """Do a bounded amount of work and return what finished."""

    def cancel(self) -> None:
        """Forget all pending requests."""
