"""Rotary embeddings that change for all tokens once one lies beyond the original context."""

from typing import Any

_SHORT = ("longrope",)


def short_rope_context(config: Any) -> int | None:
    """Return the original context of a model whose rotary embeddings change beyond it, tokens.

    None for other models.

    Args:
        config: Configuration of the text model.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    # Some models have one such dictionary for each type of layer.
    for parameters in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        if parameters.get("rope_type") in _SHORT:
            found: int | None = parameters.get("original_max_position_embeddings") or getattr(
                config, "original_max_position_embeddings", None
            )
            return found
    return None
