"""The way in which a kind of process reward model reads a solution, and what its outputs mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rstar_fast.errors import ScoreError
from rstar_fast.prompts import finetuned_prompt

QUESTION = "{question}"
BOS = "{bos}"

Aggregate = Literal["last", "min", "mean", "product"]


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """A kind of process reward model: its way to read a solution, and the meaning of its outputs.

    The defaults describe our own PPMs. A score s in [-1, 1] stands for a probability of (1 + s) / 2
    that all is right so far. Other models give that probability.

    Attributes:
        prompt: Text in front of the first step. "{question}" stands for the text of the problem,
            and "{bos}" for the token with which the tokenizer's texts begin, if there is one.
        mark: Text after every step. The score is read at its last token. "" reads it at the last
            token of the step itself.
        weights: Name of the head's weights in the checkpoint (safetensors). The head is a linear
            layer, or two with a ReLU between. A single output is the log-odds of being right. Of
            two outputs the second stands for right, by softmax. "" for the head of a PPM of ours,
            see `PPM.from_pretrained`.
        labels: Texts of the two tokens that mean wrong and right, if `weights` is the head of a
            language model. None for other heads.
        observations: Whether each step is followed by what running it showed, where its text does
            not have it: in a step inside an open code block.
        aggregate: Score of a path: the score of its last step ("last"), or the least ("min"), the
            mean or the product of the probabilities of all steps.

    Raises:
        ScoreError: An attribute has none of these values.
    """

    prompt: str = finetuned_prompt(QUESTION)
    mark: str = ""
    weights: str = ""
    labels: tuple[str, str] | None = None
    aggregate: Aggregate = "last"
    observations: bool = False

    def __post_init__(self) -> None:
        if QUESTION not in self.prompt:
            raise ScoreError(f"prompt: expected a text with {QUESTION} in it, got {self.prompt!r}")
        if self.aggregate not in get_args(Aggregate):
            raise ScoreError(
                f"aggregate: expected one of {', '.join(get_args(Aggregate))}, "
                f"got {self.aggregate!r}"
            )
        if self.labels is not None and not self.weights:
            raise ScoreError(
                "labels: expected `weights` too, the name of the head that has these outputs, "
                f"got labels {self.labels!r} alone"
            )

    def template(self, bos: str | None) -> list[str]:
        """Return the pieces of the text in front of the first step, between which the question is.

        Args:
            bos: Token with which the tokenizer's texts begin. None if there is none.
        """
        return self.prompt.replace(BOS, bos or "").split(QUESTION)

    def of_path(self, scores: Sequence[float]) -> float:
        """Return the score of a path from the scores of its steps, of which there is at least one.

        >>> ScoreSpec(aggregate="product").of_path([0.0, 0.0])
        -0.5
        """
        if self.aggregate == "min":
            return min(scores)
        if self.aggregate == "mean":
            return math.fsum(scores) / len(scores)
        if self.aggregate == "product":
            return 2 * math.prod((1 + score) / 2 for score in scores) - 1
        return scores[-1]


OWN = ScoreSpec()
"""Spec of the PPMs that are trained here."""

QWEN_MATH_PRM = ScoreSpec(
    prompt="<|im_start|>system\nPlease reason step by step, and put your final answer within "
    "\\boxed{}.<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n",
    mark="<extra_0>",
    weights="score",
)
"""Spec of Qwen2.5-Math-PRM: two classes at a special token, by a head of two layers."""

SKYWORK_PRM = ScoreSpec(prompt="{bos}{question}\n", mark="\n", weights="v_head.summary")
"""Spec of Skywork-o1-Open-PRM: a value at the end of the line."""

MATH_SHEPHERD = ScoreSpec(prompt="{question} ", mark="ки", weights="lm_head", labels=("-", "+"))
"""Spec of Math-Shepherd: the choice of the language model between two tokens, at a rare token."""
