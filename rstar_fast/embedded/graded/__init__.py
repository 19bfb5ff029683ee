"""Graded word problems, and the base model from which rounds of self-evolution begin."""

from pathlib import Path


def base_path() -> Path:
    """The folder of the base, for `AutoModelForCausalLM.from_pretrained`: it solves plain problems and guesses at others."""
    return Path(__file__).parent / "base"


__all__ = ["base_path"]
