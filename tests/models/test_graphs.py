"""Forwards as graphs give what forwards as usual give.

On a CPU a double of CUDA graphs runs the same operations again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from graph_double import recording_on_a_cpu
from tiny_models import answers
from torch import nn

from rstar_fast.embedded import held_out_problems, policy_path, ppm_path
from rstar_fast.models import graphs
from rstar_fast.policy import ExpandRequest, Sampling, TransformersPolicy
from rstar_fast.ppm import PPM, PackedScorer, ScoreRequest
from rstar_fast.ppm.packed_model import pack_chain

PROBLEMS = held_out_problems(6, seed=5)
STEPS = ("x = 1 + 2<end_of_step>", "y = 7<end_of_step>", "z = 3 * 4<end_of_step>")


@pytest.fixture(params=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    with recording_on_a_cpu() if request.param == "cpu" else nullcontext():
        yield request.param


def score(scorer: PackedScorer, level: int = 0) -> Any:
    requests = [
        ScoreRequest(i, p.id, 0, p.question, (), STEPS[: 1 + (level + i) % 3])
        for i, p in enumerate(PROBLEMS)
    ]
    scores = scorer.score(requests)
    assert [one.error for one in scores] == [None] * len(PROBLEMS)
    return np.concatenate([one.values for one in scores])


def make_scorer(device: str) -> PackedScorer:
    ppm = PPM.from_pretrained(ppm_path(), device=device, dtype=torch.float32)
    ppm.model.config.ppm_likelihood = 0.0
    # Nothing is kept, so that the same request is the same forward.
    return PackedScorer(ppm, cache_bytes=0)


def write(policy: TransformersPolicy) -> list[list[str]]:
    sampling = Sampling(temperature=1.0, max_tokens=40)
    requests = [
        ExpandRequest(i, p.id, 0, p.question, (), 4, 7, sampling) for i, p in enumerate(PROBLEMS)
    ]
    found = answers(policy, requests)
    assert [found[i].error for i in range(len(PROBLEMS))] == [None] * len(PROBLEMS)
    return [[one.text for one in found[i].candidates] for i in range(len(PROBLEMS))]


def make_policy(device: str) -> TransformersPolicy:
    return TransformersPolicy(policy_path(), device=device, dtype=torch.float32)


def replayed(run: Callable[[], Any]) -> tuple[Any, int]:
    """Return what a function returns, and the number of forwards that it replays."""
    replay = graphs.Recording.replay
    with patch.object(graphs.Recording, "replay", autospec=True, side_effect=replay) as counted:
        return run(), counted.call_count


def as_usual(run: Callable[[], Any]) -> Any:
    with patch.object(graphs, "MAX_TOKENS", 0):
        found, count = replayed(run)
    assert count == 0
    return found


def test_scores(device: str) -> None:
    scorer = make_scorer(device)
    for level in (0, 1, 0, 2, 1, 1):
        expected = as_usual(lambda level=level: score(scorer, level))
        score(scorer, level)
        found, count = replayed(lambda level=level: score(scorer, level))
        assert count > 0
        assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("attention", ["by a table", "cut"])
def test_the_policy_writes_the_same(
    device: str, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if attention == "cut":
        monkeypatch.setattr("rstar_fast.policy.rows.kept_attention_fits", lambda layout: False)
    expected = as_usual(lambda: write(make_policy(device)))
    policy = make_policy(device)
    for _ in range(2):
        found, count = replayed(lambda: write(policy))
        assert count > 0 and found == expected


def test_weights_that_change_in_place(device: str) -> None:
    scorer = make_scorer(device)
    for _ in range(2):
        before = score(scorer)
    with torch.no_grad():
        for weight in scorer.ppm.model.base_model.parameters():
            weight.mul_(1.05)
    scorer.forget()
    after, count = replayed(lambda: score(scorer))
    assert count > 0 and after == pytest.approx(as_usual(lambda: score(scorer)), abs=1e-4)
    assert np.abs(after - before).max() > 1e-3


def move(model: nn.Module) -> None:
    for weight in model.parameters():
        weight.data = weight.data.clone().mul_(1.1)


def replace(model: nn.Module) -> None:
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(weight.detach() * 1.1))


@pytest.mark.parametrize("change", [move, replace])
def test_weights_that_move(device: str, change: Callable[[nn.Module], None]) -> None:
    policy = make_policy(device)
    before = write(policy)
    change(policy._model.model)
    policy.update(1)
    after, count = replayed(lambda: write(policy))
    assert count > 0
    policy.update(2)
    assert after == as_usual(lambda: write(policy)) != before


def test_weights_that_move_unsaid(device: str) -> None:
    scorer = make_scorer(device)
    for _ in range(2):
        before = score(scorer)
    move(scorer.ppm.model.base_model)
    for _ in range(2):
        after = score(scorer)
    assert after == pytest.approx(as_usual(lambda: score(scorer)), abs=1e-4)
    assert np.abs(after - before).max() > 1e-3


def test_so_many_sizes_are_recorded(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "_MOST_SIZES", 0)
    scorer = make_scorer(device)
    found, count = replayed(lambda: [score(scorer) for _ in range(3)])
    assert count == 0 and np.array_equal(found[0], found[2])


def test_a_model_that_looks_at_its_results_runs_as_usual(device: str) -> None:
    scorer = make_scorer(device)
    first = score(scorer)

    def look(module: Any, arguments: Any, output: Any) -> None:
        assert len(output.nonzero())

    handle = scorer.ppm.model.base_model.layers[0].mlp.register_forward_hook(look)
    for _ in range(2):
        found, count = replayed(lambda: score(scorer))
        assert count == 0 and found == pytest.approx(first, abs=1e-5)
    with pytest.warns(RuntimeWarning, match="without CUDA graphs"):
        score(scorer)
    handle.remove()
    found, count = replayed(lambda: score(scorer))
    assert count == 0 and found == pytest.approx(first, abs=1e-5)


def test_a_recording_that_fails_once_is_tried_again(device: str) -> None:
    scorer = make_scorer(device)
    first = score(scorer)
    with patch.object(graphs.Recording, "take", side_effect=RuntimeError("invalidated")):
        assert score(scorer) == pytest.approx(first, abs=1e-5)
    found, count = replayed(lambda: score(scorer))
    assert count > 0 and found == pytest.approx(first, abs=1e-4)


def test_two_threads_record_one_at_a_time(device: str) -> None:
    at_once, most, lock = 0, 0, threading.Lock()
    begin, end = graphs.Recording.begin, graphs.Recording.end

    def count(step: int) -> None:
        nonlocal at_once, most
        with lock:
            at_once += step
            most = max(most, at_once)
        time.sleep(0.01)

    def begun(recording: Any) -> None:
        count(1)
        begin(recording)

    def ended(recording: Any) -> None:
        end(recording)
        count(-1)

    scorers = [make_scorer(device) for _ in range(2)]
    expected = [score(scorer) for scorer in scorers]
    with (
        patch.object(graphs.Recording, "begin", begun),
        patch.object(graphs.Recording, "end", ended),
        ThreadPoolExecutor(2) as pool,
    ):
        found = list(pool.map(lambda scorer: [score(scorer) for _ in range(3)][-1], scorers))
    assert most == 1
    for mine, theirs in zip(found, expected, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


def test_a_forward_with_gradients_runs_as_usual(device: str) -> None:
    scorer = make_scorer(device)
    for _ in range(2):
        score(scorer)
    packed = pack_chain(np.arange(1, 11, dtype=np.int32))
    model = scorer._encoder.model
    for _ in range(3):
        values, count = replayed(lambda: model.values(packed))
        assert count == 0 and values.requires_grad


@pytest.mark.parametrize(
    ("count", "size"), [(1, 8), (8, 8), (9, 16), (33, 40), (65, 80), (129, 160), (4096, 4096)]
)
def test_sizes(count: int, size: int) -> None:
    assert graphs._rounded(count) == size
