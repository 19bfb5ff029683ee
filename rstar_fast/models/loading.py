"""Parts of a model that policies and PPMs load in the same way."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from rstar_fast.errors import PolicyError, RStarError


def load_tokenizer(
    source: str | Path, error_type: type[RStarError] = PolicyError
) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder or a hub name.

    Args:
        source: Folder or hub name.
        error_type: Type of the error that is raised.

    Raises:
        RStarError: There is no tokenizer, or an empty one. The error is an `error_type`.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            str(source), trust_remote_code=False
        )
    except Exception as error:
        raise error_type(
            f"{source}: expected a tokenizer beside the model; {reason_of(error)}"
        ) from error
    # transformers makes an empty tokenizer where the files are missing.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise error_type(f"{source}: expected a tokenizer beside the model, got an empty one")
    return tokenizer


def load_config(source: str | Path, error_type: type[RStarError] = PolicyError) -> Any:
    """Load the configuration of a model's folder or hub name.

    Raises:
        RStarError: There is none, or it cannot be read. The error is an `error_type`.
    """
    try:
        return AutoConfig.from_pretrained(str(source), trust_remote_code=False)
    except Exception as error:
        raise error_type(
            f"{source}: expected a model's folder or hub name; {reason_of(error)}"
        ) from error


def reason_of(error: Exception) -> str:
    """Return why transformers could not load something, in words.

    Everything is loaded with `trust_remote_code=False`. Left out, it makes transformers ask at the
    terminal.
    """
    if "trust_remote_code" in str(error):
        return (
            "it comes with Python code of its own (`auto_map` in a configuration file), which is "
            "never executed; only what transformers itself implements can be loaded"
        )
    return f"transformers says: {error}"
