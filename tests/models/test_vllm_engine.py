"""What surrounds vLLM's engine, without vLLM."""

import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from rstar_fast.embedded import policy_path, ppm_path
from rstar_fast.errors import ConfigError
from rstar_fast.models.vllm_engine import in_engine_thread
from rstar_fast.policy import VLLMPolicy
from rstar_fast.ppm import VLLMScorer


def test_calls_are_made_in_one_thread_in_the_order_in_which_they_came() -> None:
    log = list[str]()
    begun, go_on = threading.Event(), threading.Event()

    def decode() -> int:
        begun.set()
        go_on.wait()
        log.append("decode")
        return threading.get_ident()

    def score() -> int:
        log.append("score")
        return threading.get_ident()

    with ThreadPoolExecutor() as lanes:
        decoding = lanes.submit(in_engine_thread, decode)
        begun.wait()
        scoring = lanes.submit(in_engine_thread, score)
        go_on.set()
        assert decoding.result() == scoring.result() != threading.get_ident()
    assert log == ["decode", "score"]


def test_an_error_reaches_who_asked_and_the_next_call_is_made() -> None:
    with pytest.raises(LookupError):
        in_engine_thread(lambda: dict[str, int]()["nothing"])
    assert in_engine_thread(lambda: 6 * 7) == 42


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_the_error_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r'vLLM is not installed: pip install "rstar-fast\[vllm'):
        VLLMPolicy(policy_path())
    with pytest.raises(ConfigError, match="vLLM is not installed"):
        VLLMScorer(ppm_path())
