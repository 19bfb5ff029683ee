"""What policies and PPMs share: loading parts of a model, devices, and swapping its attention."""

DTYPES = ("float32", "bfloat16", "float16")
"""Names of the number types that weights may have."""
