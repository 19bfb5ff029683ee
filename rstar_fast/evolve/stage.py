"""Stages of a self-evolution, one class for each kind.

A stage is done once, in a folder of its own.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rstar_fast.config import SearchConfig
from rstar_fast.data import Difficulty

if TYPE_CHECKING:
    from rstar_fast.training.objectives import Objective


@dataclass(frozen=True, slots=True)
class Stage(ABC):
    """The base of all stages. Stages refer to one another by name.

    Attributes:
        kind: Name of the stage's kind, as in manifests.
        name: Name of the stage, as in "round-2/policy". It is also its folder below the run's.
    """

    kind: ClassVar[str]

    name: str

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Names of the stages whose results it reads."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values, without the name.

        They stand in `manifest.json` and, for a search, in the `config.json` of its folder. A
        search refuses to go on with other options, so a change here stops runs that were begun
        before it.
        """

    @property
    def round_number(self) -> int:
        """Number of the stage's round. 0 for the measurement before the first round."""
        return int(self.name.partition("/")[0].removeprefix("round-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStage(Stage):
    """Search of problems, to make training data or to measure.

    Attributes:
        policy: Folder or hub name of the policy, or name of the stage that trains it.
        policy_is_trained: Whether `policy` is the name of a stage.
        ppm: Name of the stage that trains the PPM. None for a search without scores.
        problems: Lists of sources to search, from `SOURCES`.
        search: Configuration of the search.
        first: Number of problems to take from the front, >= 1. None for all.
        copies: Number of searches of each problem, >= 1, whose trees are those of numbered copies.
            None for one search of the problem itself.
        tokens: Number of tokens that the copies of each problem generate at least. Further copies
            are searched until then. None for `copies` copies.
        part: Number of this part of the problems, counted from 0, and number of parts. None for all
            problems.
        difficulties: Classes of problems to search. None for all problems.
        over: Names of the searches whose trees decide how hard a problem is. Empty if
            `difficulties` is None.
    """

    kind: ClassVar[str] = "search"

    policy: str
    policy_is_trained: bool = True
    ppm: str | None = None
    problems: tuple[str, ...]
    search: SearchConfig
    first: int | None = None
    copies: int | None = None
    tokens: int | None = None
    part: tuple[int, int] | None = None
    difficulties: tuple[Difficulty, ...] | None = None
    over: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the stages that train its models and decide how hard a problem is."""
        policy = (self.policy,) if self.policy_is_trained else ()
        ppm = (self.ppm,) if self.ppm else ()
        return (*policy, *ppm, *self.over)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values. Options that are not used are left out."""
        options: dict[str, Any] = {
            "policy": self.policy,
            "ppm": self.ppm,
            "problems": list(self.problems),
            "search": self.search.to_dict(),
        }
        if self.first is not None:
            options["first"] = self.first
        if self.copies is not None:
            options["copies"] = self.copies
        if self.tokens is not None:
            options["tokens"] = self.tokens
        if self.part is not None:
            options["part"] = list(self.part)
        if self.difficulties is not None:
            options |= {"difficulties": list(self.difficulties), "over": list(self.over)}
        return options


@dataclass(frozen=True, slots=True)
class DataStage(Stage):
    """Making of a round's training data from the trees of its searches.

    Attributes:
        searches: Names of the searches.
        keep: Name of the previous round's data stage, whose solutions of problems that are not
            solved now are kept. None to keep none.
    """

    kind: ClassVar[str] = "data"

    searches: tuple[str, ...]
    keep: str | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the searches, and of the previous data."""
        return (*self.searches, self.keep) if self.keep else self.searches

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values. `keep` is left out if it is None."""
        return {"searches": list(self.searches), **({"keep": self.keep} if self.keep else {})}


@dataclass(frozen=True, slots=True)
class PolicyStage(Stage):
    """Training of a policy from the base model.

    Attributes:
        data: Name of the data stage.
    """

    kind: ClassVar[str] = "policy"

    data: str

    @property
    def needs(self) -> tuple[str, ...]:
        """Name of the data stage."""
        return (self.data,)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return {"data": self.data}


@dataclass(frozen=True, slots=True)
class RowsStage(Stage):
    """Reading of the scorers' training data by the round's policy.

    Attributes:
        data: Names of the data stages to learn from, the round's own last.
        policy: Name of the stage that trains the policy, whose log-probabilities are written.
        first: Name of the first round's data stage.
        trajectories: Whether the trajectories are read too. Only an ORM and a PQM learn from them.
    """

    kind: ClassVar[str] = "rows"

    data: tuple[str, ...]
    policy: str
    first: str
    trajectories: bool

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the data stages and of the policy's, each once, sorted."""
        return tuple(sorted({*self.data, self.policy, self.first}))

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return {
            "data": list(self.data),
            "policy": self.policy,
            "first": self.first,
            "trajectories": self.trajectories,
        }


@dataclass(frozen=True, slots=True)
class PPMStage(Stage):
    """Training of a PPM, an ORM or a PQM.

    Attributes:
        rows: Name of the stage that writes the rows to learn from.
        policy: Name of the stage that trains the policy.
        objective: Kind of model: "ppm", "orm" or "pqm".
        plain: Whether the policy's likelihood is left out, as in the paper.
    """

    kind: ClassVar[str] = "ppm"

    rows: str
    policy: str
    objective: "Objective"
    plain: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the stages of the rows and of the policy."""
        return (self.rows, self.policy)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values. Options that are not used are left out."""
        options = {"rows": self.rows, "policy": self.policy, "objective": self.objective}
        return {**options, "plain": True} if self.plain else options


@dataclass(frozen=True, slots=True)
class ResultsStage(Stage):
    """Counting of what a round's models solve.

    Attributes:
        greedy: Name of the search of the policy alone.
        samples: Name of the search that draws independent solutions.
        searches: Name of the search with the PPM.
        first_policy: Name of the search with the first round's policy and the PPM. None without it.
        scorers: Names of the stages that train what chooses among the samples, the PPM's first.
        pairs: Name of the stage that writes the pairs to measure the PPM on.
    """

    kind: ClassVar[str] = "results"

    greedy: str
    samples: str
    searches: str
    first_policy: str | None
    scorers: tuple[str, ...]
    pairs: str

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of all stages that it reads, each once, sorted."""
        searches = {self.greedy, self.samples, self.searches}
        first_policy = {self.first_policy} if self.first_policy else set()
        return tuple(sorted({*searches, *first_policy, *self.scorers, self.pairs}))

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return {
            "greedy": self.greedy,
            "samples": self.samples,
            "searches": self.searches,
            "first_policy": self.first_policy,
            "scorers": list(self.scorers),
            "pairs": self.pairs,
        }
