"""Loading models in a process that ends with its command."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Keep the garbage collector away from what is imported and made meanwhile, for good.

    Nearly all of it stays. Looking through it again and again takes a fifth of the time of loading.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
