"""Typed, validated configuration of a search, and its named presets."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from rstar_fast.checks import (
    check_boolean,
    check_choice,
    check_integer,
    check_number,
)
from rstar_fast.errors import ConfigError
from rstar_fast.options import Options
from rstar_fast.prompts import PromptStyle

Strategy = Literal["mcts", "greedy", "beam", "best_of_n", "particles"]
ObservationStyle = Literal["stdout", "reference"]


_GROUND_TRUTH = {"annotate_terminals_with_ground_truth": True, "use_scores": False}

PRESETS: dict[str, dict[str, Any]] = {
    "rstar-math": {"candidates": 32, "rollouts": 12, "max_depth": 16, "c": 2.0},
    "rstar-math-data": {"candidates": 12, "rollouts": 48, **_GROUND_TRUTH},
    "paper-round-1": {"candidates": 5, "rollouts": 8, "prompt": "few_shot", **_GROUND_TRUTH},
    "paper-round-2": {"candidates": 8, "rollouts": 16, **_GROUND_TRUTH},
    "paper-round-3": {
        "candidates": 8,
        "rollouts": 16,
        "annotate_terminals_with_ground_truth": True,
    },
    "paper-round-4": {
        "candidates": 16,
        "rollouts": 16,
        "annotate_terminals_with_ground_truth": True,
    },
    "fast": {"candidates": 8, "rollouts": 4},
    "widening": {
        "candidates": 64,
        "rollouts": 32,
        "c": 0.5,
        "widening": 2.0,
        "distinct_programs": True,
    },
    "beam": {"strategy": "beam", "candidates": 8, "beam_width": 4},
    "greedy": {"strategy": "greedy", "candidates": 1, "temperature": 0.0, "use_scores": False},
}


@dataclass(frozen=True, slots=True)
class SearchConfig(Options):
    """Configuration of a search, the same for every problem.

    Attributes:
        strategy: Way to grow a tree. "mcts": rollouts guided by UCT. "greedy": one path of the most
            probable steps. "beam": the `beam_width` best-scored steps of every level go on.
            "best_of_n": `candidates` independent paths. "particles": `candidates` paths that are
            drawn anew after every step, by how the step changed their score.
        candidates: Number of steps drawn per expansion (best_of_n, particles: of paths; with
            `widening`: at a node at most), 1..1024.
        rollouts: Number of walks from the root, 1..1_000_000. mcts only.
        leaves_per_tree: Number of rollouts of one tree under way at once, 1..1024. mcts only. More
            keep engines busy with few problems. Such rollouts do not know each other's values, so
            the trees differ from those with 1, which are the reference's.
        max_depth: Number of steps on a path at most, 1..1024.
        c: Exploration constant of UCT, >= 0.
        widening: Factor C of widening by visits, >= 0. mcts only. A node of N visits gets one more
            child when a visit finds fewer than C * (N + 1) ** `widening_exponent` draws. 0 is the
            released rule: all candidates at once, when a visit finds no children.
        widening_exponent: Exponent of widening, in [0, 1].
        without_repetition: Whether no candidate is drawn twice at a node, as far as the policy can
            leave some out (`TransformersPolicy` can). Needs `widening`, temperature 1, top_p 1 and
            top_k 0.
        greedy_first: Whether the first candidate of a node is the most likely step, as at
            temperature 0. A rollout that has drawn a new step then goes on with the most likely
            ones. Needs `widening`.
        coverage: Share of the policy's probability, in [0, 1]. A node whose different candidates
            hold so much of it together gets no more of them. 0 turns this off. Any other value
            needs `widening`. Has no effect where the policy tells no log-probabilities.
        distinct_programs: Whether steps with the same program are one step, which is paid for once.
            Comments and layout are those of the first. Else steps of the same text are.
        beam_width: Number of steps kept per level, 1..1024. beam only.
        max_tokens: Number of tokens generated per problem at most. 0 for no limit.
        stop_when_sure: Probability, in (0, 1], that the leading answer stays the leader, from which
            on a search ends. 0 for never. Scores weigh the votes; the known answers do not count.
        stop_when_settled: Whether a search ends when the paths left cannot overtake the answer that
            was given most often. best_of_n and particles only, where every path has one vote.
        token_price: Probability of a right answer that 1,000 tokens must promise, >= 0. A search
            that promises less is given up. 0 for never.
        annotate_terminals_with_ground_truth: Whether a final answer's value is +1 or -1 by the
            verifier, rather than its PPM score.
        use_scores: Whether a PPM scores new nodes.
        error_limit: Number of consecutive steps that raise before a node is terminal, >= 1.
        temperature: Sampling temperature, >= 0. 0 is greedy.
        top_p: Nucleus mass that is kept, in (0, 1].
        top_k: Number of most probable tokens that are kept. 0 keeps all.
        max_step_tokens: Number of tokens of one step at most, >= 1.
        prompt: Style of the prompt. "finetuned" for a policy that was trained on the format.
            "few_shot" for any other: an instruction and solved examples. "chat" for a model with a
            chat template: the same as turns of a conversation.
        observation: Style of observations. "stdout": all that was printed. "reference": the style
            of the released training data.
        error_by_text: Whether the released code's rule holds: an observation that contains "error"
            counts as an error.
        answer_by_word: Whether the released code's rule holds: a step that contains "boxed" gives
            a final answer, the content of its last box.
        wrap_limit_observation_twice: Whether the released code's rule holds: a closing step that
            hits `error_limit` carries its observation twice.
        wall_limit_s: Wall time of one program, seconds, > 0.
        memory_limit_mb: Memory of one program, MiB, >= 64.
        grade_limit_s: Wall time of one comparison of answers, seconds, > 0.
        max_active: Number of problems searched at once, >= 1.
        seed: Seed of every random draw, 0..2**63-1.
    """

    presets: ClassVar = PRESETS

    strategy: Strategy = "mcts"
    candidates: int = 8
    rollouts: int = 16
    leaves_per_tree: int = 1
    max_depth: int = 16
    c: float = 2.0
    widening: float = 0.0
    widening_exponent: float = 0.5
    without_repetition: bool = False
    greedy_first: bool = False
    coverage: float = 0.0
    distinct_programs: bool = False
    beam_width: int = 4
    max_tokens: int = 0
    stop_when_sure: float = 0.0
    stop_when_settled: bool = False
    token_price: float = 0.0
    annotate_terminals_with_ground_truth: bool = False
    use_scores: bool = True
    error_limit: int = 2
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_step_tokens: int = 512
    prompt: PromptStyle = "finetuned"
    observation: ObservationStyle = "stdout"
    error_by_text: bool = False
    answer_by_word: bool = False
    wrap_limit_observation_twice: bool = False
    wall_limit_s: float = 5.0
    memory_limit_mb: int = 1024
    grade_limit_s: float = 5.0
    max_active: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))
        if self.strategy == "mcts" and not (
            self.use_scores or self.annotate_terminals_with_ground_truth or self.widening
        ):
            raise ConfigError(
                "strategy 'mcts' needs a value for final answers: set use_scores (a PPM), "
                "annotate_terminals_with_ground_truth, or widening"
            )
        if self.without_repetition and not (
            self.widening and self.temperature == 1 and self.top_p == 1 and self.top_k == 0
        ):
            raise ConfigError(
                "without_repetition needs widening, temperature 1, top_p 1 and top_k 0, got "
                f"{self.widening}, {self.temperature}, {self.top_p} and {self.top_k}"
            )
        for name in ("greedy_first", "coverage"):
            if getattr(self, name) and not self.widening:
                raise ConfigError(f"{name} needs widening, got {self.widening}")
        if self.strategy in ("beam", "particles") and not self.use_scores:
            raise ConfigError(
                f"strategy '{self.strategy}' goes by the scores of steps: it needs use_scores "
                "(a PPM)"
            )
        if self.stop_when_settled and self.strategy not in ("best_of_n", "particles"):
            raise ConfigError(
                f"stop_when_settled: strategy '{self.strategy}' can find any number of answers "
                "more; use stop_when_sure, or strategy 'best_of_n' or 'particles'"
            )

    @property
    def may_end_early(self) -> bool:
        """Whether a tree may end before its strategy has nothing left to do."""
        return bool(
            self.max_tokens or self.stop_when_sure or self.stop_when_settled or self.token_price
        )

    @property
    def nodes_per_tree(self) -> int:
        """Largest number of nodes that one tree can have."""
        levels = self.max_depth + 1
        expansions = {
            "mcts": self.rollouts * levels,
            "beam": self.beam_width * levels,
            "greedy": levels,
            "best_of_n": levels,
            "particles": levels,
        }
        # A widening rollout gives each node that it comes to one child.
        widens = self.strategy == "mcts" and self.widening > 0
        nodes = expansions[self.strategy] * (1 if widens else self.candidates)
        # Every node takes a token.
        return 1 + min(nodes, self.max_tokens or nodes)


_INTEGERS: dict[str, tuple[int, int]] = {
    "candidates": (1, 1024),
    "rollouts": (1, 1_000_000),
    "leaves_per_tree": (1, 1024),
    "max_depth": (1, 1024),
    "beam_width": (1, 1024),
    "max_tokens": (0, 2**40),
    "error_limit": (1, 1024),
    "top_k": (0, 1_000_000),
    "max_step_tokens": (1, 1_000_000),
    "memory_limit_mb": (64, 1_000_000),
    "max_active": (1, 1_000_000),
    "seed": (0, 2**63 - 1),
}
# Lowest value, highest value, and whether the lowest itself is refused.
_NUMBERS: dict[str, tuple[float, float, bool]] = {
    "c": (0.0, 1e6, False),
    "widening": (0.0, 1e6, False),
    "widening_exponent": (0.0, 1.0, False),
    "coverage": (0.0, 1.0, False),
    "temperature": (0.0, 100.0, False),
    "stop_when_sure": (0.0, 1.0, False),
    "token_price": (0.0, 1e6, False),
    "top_p": (0.0, 1.0, True),
    "wall_limit_s": (0.0, 1e6, True),
    "grade_limit_s": (0.0, 1e6, True),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "strategy": get_args(Strategy),
    "prompt": get_args(PromptStyle),
    "observation": get_args(ObservationStyle),
}


def _check(name: str, value: Any) -> None:
    if name in _CHOICES:
        check_choice(name, value, _CHOICES[name])
    elif name in _INTEGERS:
        check_integer(name, value, *_INTEGERS[name])
    elif name in _NUMBERS:
        low, high, low_excluded = _NUMBERS[name]
        check_number(name, value, low, high, low_excluded=low_excluded)
    else:
        check_boolean(name, value)
