"""What policies and PPMs share: loading parts of a model, devices, and swapping its attention."""

DTYPES = ("float32", "bfloat16", "float16")
"""Names of the number types that weights may have."""

INT8 = "int8"
"""Name of a further one that policies have on a CPU: linear layers in int8, the rest bfloat16."""
