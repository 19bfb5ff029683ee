"""How a process reward model reads a solution and what it says: our own PPMs, and those of others."""

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
    """What sets one kind of process reward model apart from another. The defaults are those of our own PPMs.

    A score s in [-1, 1] stands for the probability (1 + s) / 2 that all is right so far, which is what other models give.

    Attributes:
        prompt: the text in front of the first step; "{question}" stands for the problem's text, "{bos}" for the tokenizer's token
            that texts begin with, if there is one.
        mark: follows every step; its last token is where the score is read. "": the step's own last token.
        weights: name of the head's weights in the checkpoint (safetensors): a linear layer, or two with a ReLU between. One
            output is the log-odds of being right; of two the second stands for right, by softmax. "": those of a PPM of ours, see
            `PPM.from_pretrained`.
        labels: texts of the two tokens that say wrong and right, where `weights` are those of a language model's head.
        aggregate: what the score of a path is: its last step's, or of all steps' probabilities the least, the mean or the product.

    Raises:
        ScoreError: an attribute is none of these.
    """

    prompt: str = finetuned_prompt(QUESTION)
    mark: str = ""
    weights: str = ""
    labels: tuple[str, str] | None = None
    aggregate: Aggregate = "last"

    def __post_init__(self) -> None:
        if QUESTION not in self.prompt:
            raise ScoreError(f"prompt: expected a text with {QUESTION} in it, got {self.prompt!r}")
        if self.aggregate not in get_args(Aggregate):
            raise ScoreError(
                f"aggregate: expected one of {', '.join(get_args(Aggregate))}, got {self.aggregate!r}"
            )
        if self.labels is not None and not self.weights:
            raise ScoreError(
                f"labels: expected `weights`, the head they are tokens of, got labels {self.labels!r} alone"
            )

    def prompt_for(self, question: str, bos: str | None) -> str:
        """The text in front of the first step."""
        return self.prompt.replace(BOS, bos or "").replace(QUESTION, question)

    def of_path(self, scores: Sequence[float]) -> float:
        """The score of a path, from those of its steps (one at least).

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


QWEN_MATH_PRM = ScoreSpec(
    prompt="<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
    "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n",
    mark="<extra_0>",
    weights="score",
)
"""Qwen2.5-Math-PRM: two classes at a token of their own, by a head of two layers."""

SKYWORK_PRM = ScoreSpec(prompt="{bos}{question}\n", mark="\n", weights="v_head.summary")
"""Skywork-o1-Open-PRM: a value at the end of the line."""

MATH_SHEPHERD = ScoreSpec(prompt="{question} ", mark="ки", weights="lm_head", labels=("-", "+"))
"""Math-Shepherd: the language model's choice between two tokens, at a token that hardly occurs elsewhere."""
