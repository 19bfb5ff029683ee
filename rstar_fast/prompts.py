"""From a question to the text a policy continues."""

from typing import Literal

PromptStyle = Literal["finetuned", "few_shot"]


def finetuned_prompt(question: str) -> str:
    """The prompt of a policy (and PPM) trained on rStar-Math solutions (the paper's format)."""
    return f"<|user|>:\n{question}\n<|assistant|>: Let's think step by step and solve the problem with code."
