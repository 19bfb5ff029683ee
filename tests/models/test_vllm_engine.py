"""What surrounds vLLM's engine, without vLLM."""

import threading
import time
from importlib.util import find_spec

import pytest

from rstar_fast.embedded import policy_path, ppm_path
from rstar_fast.errors import ConfigError
from rstar_fast.models.vllm_engine import Turns
from rstar_fast.policy import VLLMPolicy
from rstar_fast.ppm import VLLMScorer


def test_engines_take_turns_in_the_order_in_which_they_came() -> None:
    turns, log = Turns(), list[str]()

    def score() -> None:
        with turns:
            log.append("score")

    with turns:
        other = threading.Thread(target=score)
        other.start()
        # Until the other thread has drawn its number.
        while turns._next < 2:
            time.sleep(0.01)
    # A plain lock would mostly be had again by the thread that has just given it back.
    with turns:
        log.append("decode")
    other.join()
    assert log == ["score", "decode"]


def test_a_turn_ends_with_an_error_too() -> None:
    turns = Turns()
    with pytest.raises(LookupError), turns:
        raise LookupError
    with turns:
        pass


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_the_error_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r'vLLM is not installed: pip install "rstar-fast\[vllm'):
        VLLMPolicy(policy_path())
    with pytest.raises(ConfigError, match="vLLM is not installed"):
        VLLMScorer(ppm_path())
