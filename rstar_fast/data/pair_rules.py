"""Rules that say which steps and trajectories make a preference pair."""

from dataclasses import dataclass
from typing import Literal, get_args

from rstar_fast.checks import check_boolean, check_choice, check_integer, check_number
from rstar_fast.errors import ConfigError

FinalStep = Literal["trajectories", "siblings"]


@dataclass(frozen=True, slots=True)
class PairRules:
    """Rules of preference pairs.

    Attributes:
        per_side: Most candidates kept on each side, the best and the worst, >= 1.
        against_one: Most candidates kept on a side whose other side has only one, >= `per_side`.
        min_margin: Least difference of Q between the preferred step and the other, >= 0. The
            difference is above 0 in any case.
        min_edit_distance: Least edit distance of the two steps, in characters, >= 0.
        final_step: Rule for final answers. "trajectories" is the paper's: final answers are not
            compared as siblings, but whole right trajectories of a problem are preferred to whole
            wrong ones. With "siblings" a final answer is a step like any other.
        final_per_side: Most trajectories kept on each side, >= 1. `against_one` holds for them too
            where it is more.
        by_program: Whether steps with the same program (`rstar_fast.programs`) count as one step,
            and trajectories with the same programs and the same answer as one trajectory. False
            tells steps apart by their texts, as the released code does.

    Raises:
        ConfigError: An option is out of range.
    """

    per_side: int = 2
    against_one: int = 2
    min_margin: float = 0.0
    min_edit_distance: int = 0
    final_step: FinalStep = "trajectories"
    final_per_side: int = 2
    by_program: bool = True

    def __post_init__(self) -> None:
        check_integer("pairs: per_side", self.per_side, low=1)
        check_integer("pairs: against_one", self.against_one, low=1)
        check_number("pairs: min_margin", self.min_margin, low=0)
        check_integer("pairs: min_edit_distance", self.min_edit_distance, low=0)
        check_integer("pairs: final_per_side", self.final_per_side, low=1)
        check_boolean("pairs: by_program", self.by_program)
        check_choice("pairs: final_step", self.final_step, get_args(FinalStep))
        if self.per_side > self.against_one:
            raise ConfigError(
                "pairs: expected per_side <= against_one, "
                f"got {self.per_side} and {self.against_one}"
            )


PAPER = PairRules()
"""Rules of the paper (rStar-Math, section 3.3), among steps whose programs differ."""
RELEASED = PairRules(
    against_one=4,
    min_margin=0.5,
    min_edit_distance=20,
    final_step="siblings",
    by_program=False,
)
"""Rules of the released code."""
