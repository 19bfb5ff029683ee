"""Tests of real engines: `make test-engines`."""

from importlib.util import find_spec
from pathlib import Path

import pytest

# Elsewhere there is nothing to test.
if find_spec("vllm") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def small_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random policy without tokens for marks, of a size that vLLM's CPU build runs."""
    from tiny_models import byte_tokenizer, tiny_model

    tokenizer = byte_tokenizer()
    folder = tmp_path_factory.mktemp("policy")
    tiny_model("qwen2", tokenizer, hidden_size=128, pad_token_id=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
