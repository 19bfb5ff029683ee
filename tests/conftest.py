"""Settings of all tests."""

import os

import pytest

# Worker processes inherit this. The tokenizers' own threads would be forked with a warning.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Run tiny models on one thread: two are slower, and a busy machine makes them slower still."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
