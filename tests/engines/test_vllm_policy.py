"""VLLMPolicy against TransformersPolicy and plain forwards of the same models."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import answers, byte_tokenizer, request
from transformers import AutoModelForCausalLM

from rstar_fast.embedded import held_out_problems, policy_path
from rstar_fast.errors import ConfigError, PolicyError
from rstar_fast.models.text_tokens import TextTokens
from rstar_fast.policy import Candidate, ExpandRequest, Sampling, TransformersPolicy, VLLMPolicy
from rstar_fast.prompts import make_prompt
from rstar_fast.steps import Segment

CACHE_BYTES = 16 << 20
GREEDY = Sampling(temperature=0, max_tokens=40)
SAMPLED = Sampling(max_tokens=60)


@pytest.fixture(scope="module")
def policy() -> VLLMPolicy:
    return VLLMPolicy(policy_path(), dtype="float32", cache_bytes=CACHE_BYTES)


@pytest.fixture(scope="module")
def small(small_policy: Path) -> VLLMPolicy:
    """Marks are plain text for it."""
    return VLLMPolicy(small_policy, cache_bytes=CACHE_BYTES)


def forced(text: str) -> Callable[[Any], None]:
    """Make a model write a text as the first step of the question `0`, and end it then."""
    prompt = byte_tokenizer()(make_prompt("finetuned", "0")).input_ids
    ids = torch.tensor([*byte_tokenizer()(text).input_ids, *[byte_tokenizer().eos_token_id] * 2])

    def change(model: Any) -> None:
        forward, last = model.forward, [0]

        def noting(input_ids: Any, positions: Any, *rest: Any, **more: Any) -> Any:
            # All candidates are at the same place.
            last[0] = int(positions.max())
            return forward(input_ids, positions, *rest, **more)

        def logits(hidden: Any) -> Any:
            token = ids[min(last[0] - len(prompt) + 1, len(ids) - 1)]
            found = torch.full((len(hidden), 257), -30.0)
            found[:, token] = 30.0
            return found

        model.forward, model.compute_logits = noting, logits

    return change


def first_steps(n: int, sampling: Sampling) -> list[ExpandRequest]:
    return [
        request(i, one.question, n=n, sampling=sampling)
        for i, one in enumerate(held_out_problems(4))
    ]


def second_steps(
    firsts: list[ExpandRequest], written: list[Candidate], first_id: int = 0
) -> list[ExpandRequest]:
    return [
        dataclasses.replace(
            first,
            id=first_id + first.id,
            node=1,
            path=(Segment(candidate.text, candidate.token_ids),),
        )
        for first, candidate in zip(firsts, written, strict=True)
    ]


def test_greedy_steps_are_those_of_transformers(policy: VLLMPolicy) -> None:
    other = TransformersPolicy(policy_path(), dtype="float32", device="cpu")
    firsts = first_steps(1, GREEDY)
    found = answers(policy, firsts)
    seconds = second_steps(firsts, [found[i].candidates[0] for i in range(len(firsts))])
    for requests in (firsts, seconds):
        ours, theirs = answers(policy, requests), answers(other, requests)
        for number in theirs:
            one, two = ours[number].candidates[0], theirs[number].candidates[0]
            assert one.logprobs == pytest.approx(two.logprobs, abs=1e-4)
            assert one == dataclasses.replace(two, logprobs=one.logprobs)
            assert one.ends_with_token and one.exact and one.finish == "mark"


def test_logprobs_are_the_models_own_whatever_the_sampling(policy: VLLMPolicy) -> None:
    model = AutoModelForCausalLM.from_pretrained(policy_path(), dtype=torch.float32).eval()
    tokenizer = TransformersPolicy(policy_path(), device="cpu")._limits.tokenizer
    prompt = TextTokens(tokenizer)
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=20, max_tokens=30)
    asked = first_steps(3, sampling)
    for number, expansion in answers(policy, asked).items():
        before = prompt.of(make_prompt("finetuned", asked[number].question), opens=True)
        for candidate in expansion.candidates:
            tokens = [*before, *candidate.token_ids]
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([tokens])).logits[0]
            after = logits[len(before) - 1 : -1].float().log_softmax(-1)
            found = after.gather(-1, torch.tensor(candidate.token_ids)[:, None])[:, 0]
            assert list(candidate.logprobs) == pytest.approx(found.tolist(), abs=1e-4)
            assert tuple(prompt.of(candidate.text)) == candidate.token_ids


def test_a_draw_depends_on_its_own_number_alone(policy: VLLMPolicy) -> None:
    asked = first_steps(6, SAMPLED)
    whole = answers(policy, asked)
    assert answers(policy, asked) == whole
    assert len({one.text for one in whole[0].candidates}) > 1
    alone = {number: answers(policy, [asked[number]])[number] for number in whole}
    assert alone == whole
    tail = [dataclasses.replace(one, num_candidates=2, first_candidate=4) for one in asked]
    for number, expansion in answers(policy, list(reversed(tail))).items():
        assert expansion.candidates == whole[number].candidates[4:]


def test_more_prompts_than_a_step_reads(policy: VLLMPolicy) -> None:
    """vLLM's CPU build raises where a prompt with a seed is read in two steps."""
    policy.update(0)
    asked = [
        request(i, f"{i} " * 20 + one.question, n=4, sampling=Sampling(max_tokens=8))
        for i, one in enumerate(held_out_problems(64))
    ]
    # Over 2,048 tokens in all.
    found = answers(policy, asked)
    assert len(found) == 64 and all(one.error is None for one in found.values())


def test_siblings_and_children_find_their_prefix(policy: VLLMPolicy) -> None:
    policy.update(0)
    asked = first_steps(8, SAMPLED)[:1]
    before = dataclasses.replace(policy.stats)
    found = answers(policy, asked)[0].candidates
    length = len(policy._prefix_tokens.of(asked[0]))
    blocks = length // 32 * 32
    assert blocks
    # The first encodes all, the others what is in no whole block.
    assert policy.stats.reused_tokens - before.reused_tokens == 7 * blocks
    assert policy.stats.encoded_tokens - before.encoded_tokens == 8 * length - 7 * blocks
    child = second_steps(asked, [found[0]])[0]
    before = dataclasses.replace(policy.stats)
    answers(policy, [child])
    assert policy.stats.reused_tokens - before.reused_tokens >= 8 * blocks


LITERALS = [
    # What is written, what of it is the candidate, and how it ends.
    ("x = 1\n<end_of_step>\nmore", "x = 1\n<end_of_step>", "mark"),
    ("s = '<end_of_step>'\n<end_of_step>\n", "s = '<end_of_step>'\n<end_of_step>", "mark"),
    # The literal is never closed: the mark was one.
    ("s = '<end_of_step>\nx = 1", "s = '<end_of_step>", "mark"),
    ("s = '<end_of_step>", "s = '<end_of_step>", "mark"),
    ("# a <end_of_code> b", "# a <end_of_code>", "mark"),
    ("x = 1", "x = 1", "eos"),
]


@pytest.mark.parametrize("budget", [60, 20])
@pytest.mark.parametrize(("text", "expected", "finish"), LITERALS)
def test_a_mark_of_text_in_a_literal_ends_nothing(
    small_policy: Path, text: str, expected: str, finish: str, budget: int
) -> None:
    policy = VLLMPolicy(small_policy, cache_bytes=CACHE_BYTES)
    policy.engine.apply_model(forced(text))
    found = answers(policy, [request(0, "0", n=2, sampling=Sampling(max_tokens=budget))])[0]
    for candidate in found.candidates:
        if budget < len(expected):
            end = expected[:budget]
            cut = "mark" if end.endswith("<end_of_step>") else "length"
            assert (candidate.text, candidate.finish) == (end, cut)
            continue
        assert (candidate.text, candidate.finish) == (expected, finish)
        assert byte_tokenizer().decode(candidate.token_ids).startswith(expected)
        assert not candidate.ends_with_token
    assert not policy.pending and not policy.engine.has_unfinished_requests()


def test_greedy_text_of_a_model_without_marks_is_that_of_transformers(
    small: VLLMPolicy, small_policy: Path
) -> None:
    other = TransformersPolicy(small_policy, device="cpu")
    # Short marks, so that random text has them.
    for stop in (("e",), ("a", "Q"), ("é",)):
        sampling = Sampling(temperature=0, max_tokens=48, stop=stop)
        asked = [request(i, "?" * (i + 1), n=1, sampling=sampling) for i in range(8)]
        ours, theirs = answers(small, asked), answers(other, asked)
        for number, expansion in theirs.items():
            one, two = ours[number].candidates[0], expansion.candidates[0]
            assert one == dataclasses.replace(two, logprobs=one.logprobs)


def test_the_few_shot_prompt_leads_every_step_but_the_first(small_policy: Path) -> None:
    policy = VLLMPolicy(small_policy, prompt="few_shot", cache_bytes=CACHE_BYTES)
    other = TransformersPolicy(small_policy, prompt="few_shot", device="cpu")
    # The prompt is longer than this model's context.
    for one in (policy, other):
        found = answers(one, [request(0, path=[Segment("x = 1<end_of_step>")])])[0]
        assert "tokens" in str(found.error) and "takes 512" in str(found.error)


def test_what_cannot_be_answered_fails_alone(policy: VLLMPolicy) -> None:
    hot = Sampling(temperature=3.0)
    asked = [
        request(0, "word " * 2000),
        request(1, n=0),
        request(2, n=2, sampling=hot),
        request(3, n=2, sampling=SAMPLED),
    ]
    found = answers(policy, asked)
    assert "takes 1024 including at least one new token" in str(found[0].error)
    assert "num_candidates: expected at least 1, got 0" in str(found[1].error)
    assert "temperature must be in [0, 2], got 3.0" in str(found[2].error)
    assert found[3].error is None and len(found[3].candidates) == 2
    assert not policy.engine.has_unfinished_requests()


def test_a_candidate_is_cut_at_the_end_of_the_context(policy: VLLMPolicy) -> None:
    words = "12 + 34 " * 400
    room = request(0, words[: 8 * 150], sampling=Sampling(temperature=2.0, max_tokens=5000))
    length = len(policy._prefix_tokens.of(room))
    candidate = answers(policy, [room])[0].candidates[0]
    assert len(candidate.token_ids) <= 1024 - length


def test_cancelled_requests_are_gone(policy: VLLMPolicy) -> None:
    asked = first_steps(4, SAMPLED)
    whole = answers(policy, asked)
    policy.add(asked)
    policy.step()
    assert policy.pending == len(asked)
    policy.cancel()
    assert not policy.pending and not policy.engine.has_unfinished_requests()
    assert policy.step() == []
    assert answers(policy, asked) == whole


def scale_head(factor: float) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        with torch.no_grad():
            model.model.norm.weight.mul_(factor)
            model.model.layers[0].input_layernorm.weight.mul_(factor)

    return change


def test_an_update_follows_a_change_of_the_weights(small_policy: Path) -> None:
    policy = VLLMPolicy(small_policy, cache_bytes=CACHE_BYTES)
    asked = [request(0, "long " * 12, sampling=dataclasses.replace(GREEDY, max_tokens=8))]
    first = answers(policy, asked)
    policy.engine.apply_model(scale_head(1.5))
    stale = answers(policy, asked)
    policy.update(1)
    reused = policy.stats.reused_tokens
    fresh = answers(policy, asked)
    assert policy.stats.reused_tokens == reused
    other = VLLMPolicy(small_policy, cache_bytes=CACHE_BYTES)
    other.engine.apply_model(scale_head(1.5))
    assert {one.version for expansion in fresh.values() for one in expansion.candidates} == {1}
    other.update(1)
    assert fresh == answers(other, asked) != first
    # Without it, old keys and values are mixed with new weights.
    assert stale != fresh


def test_an_update_while_candidates_are_written(policy: VLLMPolicy) -> None:
    asked = first_steps(4, SAMPLED)
    whole = answers(policy, asked)
    policy.add(asked)
    found = {one.request_id: one for one in policy.step()}
    policy.update(0)
    while policy.pending:
        found |= {one.request_id: one for one in policy.step()}
    texts = {i: [one.text for one in expansion.candidates] for i, expansion in found.items()}
    assert texts == {i: [c.text for c in expansion.candidates] for i, expansion in whole.items()}


def test_logits_that_are_not_finite_fail_their_request(small_policy: Path) -> None:
    policy = VLLMPolicy(small_policy, cache_bytes=CACHE_BYTES)
    policy.engine.apply_model(scale_head(float("nan")))
    found = answers(policy, [request(0, n=2)])[0]
    assert "not finite" in str(found.error)
    assert not policy.engine.has_unfinished_requests()


def test_more_candidates_than_room(small_policy: Path) -> None:
    """Keys and values for a few hundred tokens: candidates wait, and are put back."""
    sampling = Sampling(max_tokens=60, stop=("<end_of_step>",))
    asked = [request(i, "?" * 20 * i, n=6, sampling=sampling) for i in range(5)]
    # 2 layers, 2 heads of 32, keys and values in float32: 1 KiB a token.
    tight = VLLMPolicy(small_policy, cache_bytes=1 << 20)
    roomy = VLLMPolicy(small_policy, cache_bytes=CACHE_BYTES)
    assert answers(tight, asked).keys() == answers(roomy, asked).keys()


def test_what_cannot_be_loaded_says_why(tmp_path: Path, small_policy: Path) -> None:
    with pytest.raises(PolicyError, match="expected a model's folder or hub name"):
        VLLMPolicy(tmp_path)
    with pytest.raises(ConfigError, match="device cuda:1: vLLM's build here runs on 'cpu'"):
        VLLMPolicy(small_policy, device="cuda:1")
    with pytest.raises(PolicyError, match=r"vLLM could not load it: .*block size"):
        VLLMPolicy(small_policy, block_size=16, cache_bytes=CACHE_BYTES)
    with pytest.raises(ConfigError, match=r"memory_share: expected a number in \(0, 1\], got 2"):
        VLLMPolicy(small_policy, memory_share=2)
    with pytest.raises(PolicyError, match="max_rows: expected at least 1, got 0"):
        VLLMPolicy(small_policy, max_rows=0)
    with pytest.raises(ConfigError, match=r"expected the options device, .*, got max_row"):
        VLLMPolicy(small_policy, max_row=1)  # type: ignore[call-arg]


def test_engines_end_without_harm_to_others(policy: VLLMPolicy, small_policy: Path) -> None:
    asked = first_steps(2, SAMPLED)
    whole = answers(policy, asked)
    other = VLLMPolicy(small_policy, cache_bytes=CACHE_BYTES)
    answers(other, [request(0)])
    other.close()
    other.close()
    assert answers(policy, asked) == whole
    with pytest.raises(PolicyError):
        VLLMPolicy(small_policy, block_size=16, cache_bytes=CACHE_BYTES)
    assert answers(policy, asked) == whole
