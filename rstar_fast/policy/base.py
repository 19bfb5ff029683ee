"""The interface of a policy, which writes candidates for the next step of a solution."""

from collections.abc import Awaitable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from rstar_fast.prompts import PromptStyle, make_prompt, step_lead
from rstar_fast.seeding import draw_key
from rstar_fast.steps import STOP_MARKS, Segment


@dataclass(frozen=True, slots=True)
class Sampling:
    """The way candidates are drawn.

    Attributes:
        temperature: Temperature of the softmax, >= 0. 0 takes the most probable token.
        top_p: Mass of the nucleus that is kept, in (0, 1]. 1 keeps all tokens.
        top_k: Number of most probable tokens that are kept, >= 0. 0 keeps all tokens.
        max_tokens: Number of tokens after which a candidate is cut.
        stop: Marks. A candidate ends with the first one that it contains.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 512
    stop: tuple[str, ...] = STOP_MARKS


class Drawn(NamedTuple):
    """A candidate that was drawn before.

    Attributes:
        token_ids: Token ids that were sampled.
        logprobs: Log-probability of each token id, nats, see `Candidate`.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ExpandRequest:
    """A request for candidates of the next step.

    Attributes:
        id: Number of the request, unique within its search.
        problem_id: Name of the problem. With `node` and the number of a candidate, it is the key of
            the candidate's random draws (`draw_key`).
        node: Id of the node to be expanded, within its tree.
        question: Text of the problem. The policy makes its prompt from it.
        path: Solution so far, root first.
        num_candidates: Number of candidates to write, >= 1.
        seed: Seed of the search.
        sampling: Way to draw the candidates.
        first_candidate: Number of the first candidate: how many were drawn at the node before.
        drawn: Candidates of this node that should not be drawn again, at temperature 1 and from all
            tokens. An engine that cannot leave them out may ignore them.
        prompt: Way to put the question to the model.
    """

    id: int
    problem_id: str
    node: int
    question: str
    path: tuple[Segment, ...]
    num_candidates: int
    seed: int
    sampling: Sampling
    first_candidate: int = 0
    drawn: tuple[Drawn, ...] = ()
    prompt: PromptStyle = "finetuned"

    @property
    def text(self) -> str:
        """Text that the model continues: the prompt of the question, and the path after it.

        A chat prompt has a text for each tokenizer only: see `PrefixTokens.text_of`.

        Raises:
            PolicyError: The prompt is "chat".
        """
        path = "".join(segment.text for segment in self.path)
        return make_prompt(self.prompt, self.question) + path + self.lead

    @property
    def lead(self) -> str:
        """End of `text` that the policy does not write itself. A candidate's text begins with it.

        It is empty for the first step, and see `prompts.step_lead`.
        """
        return step_lead(self.prompt) if self.path else ""

    def draw_key(self, sample: int) -> int:
        """Return the key of the random draws of one of the candidates, see `seeding.draw_key`.

        Args:
            sample: Place of the candidate among those of the request, from 0.
        """
        return draw_key(self.seed, self.problem_id, self.node, self.first_candidate + sample)


Finish = Literal["mark", "eos", "length"]

MAX_VERSION = (1 << 31) - 1
"""Largest number of a version of weights."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate for the next step.

    Attributes:
        text: Text up to and including the stop mark. It may begin with a thinking part, as in
            "<think>...</think>", which the search leaves out of the step.
        token_ids: Token ids that were sampled, in order, those of a thinking part among them. Empty
            where the engine does not tell.
        logprobs: Log-probability of each token id, nats, under the model's own distribution
            (temperature 1, unfiltered). Empty where the engine does not tell.
        finish: "mark" if a stop mark was written, "eos" if the model ended its text, "length" if
            the candidate was cut at `max_tokens`.
        exact: Whether `token_ids` spell exactly `text`. False where a token runs past the stop
            mark, or where the prompt's format adds text.
        ends_with_token: Whether the text ends with a stop mark that is one token. What only spells
            a mark before it is then text. Else the search cuts the text behind its first stop mark.
        version: Number of the weights that drew it, >= 0. 0 where they never change.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: Finish = "mark"
    exact: bool = True
    ends_with_token: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class Expansion:
    """The answer to an `ExpandRequest`.

    Attributes:
        request_id: Number of the request.
        candidates: Candidates, in the order of their numbers. Empty if there is an error.
        error: Reason why there are no candidates. None if there are some.
    """

    request_id: int
    candidates: tuple[Candidate, ...] = ()
    error: str | None = None


@dataclass(slots=True)
class PolicyStats:
    """Running totals of a policy.

    Attributes:
        generated_tokens: Number of tokens that were sampled.
        encoded_tokens: Number of prefix tokens that went through the model.
        reused_tokens: Number of prefix tokens whose keys and values were stored already.
    """

    generated_tokens: int = 0
    encoded_tokens: int = 0
    reused_tokens: int = 0


class Policy(Protocol):
    """An engine that takes requests at any time and finishes them in any order.

    The caller adds requests, then calls `step` until `pending` is 0. It may add more between any
    two steps. A request that cannot be answered comes back as an `Expansion` with an `error`. Only
    a broken engine raises.

    `Searcher` makes all calls of one search in one thread, and adds requests only between steps. An
    engine that waits for a server should therefore return from a step without a result after about
    50 ms. After an outage it should repeat the failed work by itself.

    Attributes:
        name: Name of the model for the run record: a folder or a hub name.
        stats: Running totals.
    """

    name: str
    stats: PolicyStats

    @property
    def pending(self) -> int:
        """Number of requests that were added and not yet returned."""

    def add(self, requests: Sequence[ExpandRequest]) -> None:
        """Queue requests."""

    def step(self) -> list[Expansion]:
        """Do a bounded amount of work and return the requests that it finished."""

    def cancel(self) -> None:
        """Forget all pending requests."""


class AsyncPolicy(Protocol):
    """An engine that answers each request for itself: a server, or any function.

    A request reaches the engine as soon as the search asks for it. Requests end in any order. A
    future with an exception is a fault of the engine: the request is tried once more, and then
    fails its problem. An engine that knows of outages waits and repeats by itself. A request that
    nobody needs any more is cancelled by `Future.cancel`.

    Attributes:
        name: Name of the model for the run record.
        stats: Running totals.
    """

    name: str
    stats: PolicyStats

    def submit(self, request: ExpandRequest) -> "Future[Expansion] | Awaitable[Expansion]":
        """Begin one request. Called in the thread of the trees, so it must not wait.

        An `async def` will do: its coroutine runs in an event loop of the search's own.
        """
