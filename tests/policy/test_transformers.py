"""TransformersPolicy against plain forwards and `generate` of the same model, in fp32."""

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_models import ARCHITECTURES, answers, byte_tokenizer, request, tiny_model
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from rstar_fast.errors import ConfigError, PolicyError
from rstar_fast.policy import ExpandRequest, Sampling, TransformersPolicy, cpu_linear
from rstar_fast.policy.cpu_linear import _PackedLinear, arrange_linears
from rstar_fast.prompts import few_shot_prompt, finetuned_prompt
from rstar_fast.steps import Segment

TOKENIZER = byte_tokenizer()
GREEDY = Sampling(temperature=0, max_tokens=20, stop=("<end_of_step>",))
SAMPLED = Sampling(temperature=1.3, top_p=0.9, max_tokens=10)
QUESTIONS = (
    "How many?",
    "A much longer question, so that prefixes differ in length: what is 2 + 2?",
    "?",
)


@pytest.fixture(scope="module", params=["qwen2", "qwen3"], ids=["in torch", "in the core"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """Return a model whose attention is computed here or there, by the size of its heads."""
    return tiny_model(request.param, TOKENIZER)


def make(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast = TOKENIZER, **options: int
) -> TransformersPolicy:
    return TransformersPolicy(model, tokenizer, **options)  # type: ignore[arg-type]


def prefix_ids(question: str, path: str = "") -> list[int]:
    return list(TOKENIZER(finetuned_prompt(question) + path)["input_ids"])


def tree_requests(n: int, sampling: Sampling) -> list[ExpandRequest]:
    """Expansions at several depths of several problems."""
    found = []
    for question in QUESTIONS:
        for depth in range(3):
            path = [Segment(f"step {i} of {question[:5]}<end_of_step>") for i in range(depth)]
            found.append(request(len(found), question, path, n, node=depth, sampling=sampling))
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_equals_generate(architecture: str) -> None:
    model = tiny_model(architecture, TOKENIZER)
    done = answers(
        make(model), [request(i, question, sampling=GREEDY) for i, question in enumerate(QUESTIONS)]
    )
    for i, question in enumerate(QUESTIONS):
        ids = torch.tensor([prefix_ids(question)])
        expected = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=20,
            do_sample=False,
            pad_token_id=0,
        )
        assert done[i].candidates[0].token_ids == tuple(expected[0, ids.shape[1] :].tolist())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logprobs_equal_a_plain_forward(architecture: str) -> None:
    model = tiny_model(architecture, TOKENIZER)
    for expansion in answers(make(model, max_rows=5), tree_requests(3, SAMPLED)).values():
        ask = tree_requests(3, SAMPLED)[expansion.request_id]
        prefix = prefix_ids(ask.question, "".join(segment.text for segment in ask.path))
        for candidate in expansion.candidates:
            with torch.inference_mode():
                logits = model(torch.tensor([prefix + list(candidate.token_ids)])).logits[
                    0, len(prefix) - 1 : -1
                ]
            expected = logits.log_softmax(-1).gather(
                -1, torch.tensor(candidate.token_ids)[:, None]
            )[:, 0]
            assert torch.allclose(torch.tensor(candidate.logprobs), expected, atol=1e-4)


@pytest.mark.parametrize(
    "sampling", [SAMPLED, Sampling(max_tokens=10), Sampling(top_k=5, max_tokens=10)]
)
def test_candidates_do_not_depend_on_batch_order_or_reuse(
    model: PreTrainedModel, sampling: Sampling
) -> None:
    requests = tree_requests(4, sampling)
    expected = answers(make(model), requests)
    assert len({c.text for e in expected.values() for c in e.candidates}) > 20
    for policy, order in [
        (make(model, max_rows=3), requests),
        (make(model, max_rows=7), requests[::-1]),
        (make(model, cache_bytes=0), requests[4:] + requests[:4]),
        (make(model, max_rows=1, cache_bytes=20_000), requests),
    ]:
        done = answers(policy, order)
        assert {i: [c.token_ids for c in e.candidates] for i, e in done.items()} == {
            i: [c.token_ids for c in e.candidates] for i, e in expected.items()
        }
    one_by_one = make(model)
    for ask in requests:
        assert [c.token_ids for c in answers(one_by_one, [ask])[ask.id].candidates] == [
            c.token_ids for c in expected[ask.id].candidates
        ]


def test_rows_grow_with_the_queue_within_the_memory(model: PreTrainedModel) -> None:
    requests = [
        request(i, f"{QUESTIONS[i % 3]} {i}", n=8, node=i, sampling=SAMPLED) for i in range(30)
    ]
    few, many = make(model, max_rows=64), make(model)
    expected = answers(few, requests)
    seen: set[int] = set()
    many.add(requests)
    done = {}
    while many.pending:
        done.update({e.request_id: e for e in many.step()})
        seen.add(len(many._running.rows))
    assert 64 < max(seen) <= 128
    assert {i: [c.token_ids for c in e.candidates] for i, e in done.items()} == {
        i: [c.token_ids for c in e.candidates] for i, e in expected.items()
    }
    # Nothing waits, or there is no room.
    assert max(rows_of(make(model), requests[:8])) == 64
    assert max(rows_of(make(model, cache_bytes=1000), requests)) == 64


def rows_of(policy: TransformersPolicy, requests: list[ExpandRequest]) -> list[int]:
    policy.add(requests)
    found = []
    while policy.pending:
        policy.step()
        found.append(len(policy._running.rows))
    return found


def test_requests_may_come_while_others_run(model: PreTrainedModel) -> None:
    requests = tree_requests(2, SAMPLED)
    expected = answers(make(model), requests)
    policy, done, waiting = make(model, max_rows=5), {}, list(requests)
    while waiting or policy.pending:
        if waiting:
            policy.add([waiting.pop()])
        done.update({e.request_id: e for e in policy.step()})
    assert {i: e.candidates[1].token_ids for i, e in done.items()} == {
        i: e.candidates[1].token_ids for i, e in expected.items()
    }


def test_children_encode_only_what_is_new(model: PreTrainedModel) -> None:
    policy = make(model)
    sampling = Sampling(temperature=0, max_tokens=10)
    first = answers(policy, [request(0, sampling=sampling)])[0].candidates[0]
    prompt = len(prefix_ids("How many?"))
    assert (
        policy.stats.encoded_tokens,
        policy.stats.reused_tokens,
        policy.stats.generated_tokens,
    ) == (prompt, 0, 10)

    path = [Segment(first.text, first.token_ids), Segment("\n<output>")]
    child = answers(policy, [request(1, path=path, n=3, sampling=sampling)])[1].candidates
    # New are the last token of the parent, which was sampled but never read, and the nine tokens of
    # the observation.
    assert policy.stats.encoded_tokens == prompt + 1 + 9
    assert policy.stats.reused_tokens == prompt + 9
    assert len({c.token_ids for c in child}) == 1
    fresh = answers(make(model, cache_bytes=0), [request(1, path=path, n=3, sampling=sampling)])[
        1
    ].candidates
    assert [c.token_ids for c in fresh] == [c.token_ids for c in child]
    assert torch.allclose(
        torch.tensor(fresh[0].logprobs), torch.tensor(child[0].logprobs), atol=1e-4
    )


def test_requests_with_one_prompt_encode_it_once(model: PreTrainedModel) -> None:
    policy = make(model)
    answers(policy, [request(i, path=[Segment(f"{i}")], n=2) for i in range(4)])
    assert policy.stats.encoded_tokens == len(prefix_ids("How many?")) + 4


def test_a_step_of_a_few_shot_prompt_begins_after_the_line_end() -> None:
    """The model must see a mark's last character and the line's end as the one token they are."""
    tokenizer = byte_tokenizer(merges=[(">", "Ċ")])
    model = tiny_model("qwen2", tokenizer, max_position_embeddings=4096)
    policy = TransformersPolicy(model, tokenizer, prompt="few_shot")
    step = Segment(
        "<code>\nx = 1\n<end_of_step>",
        tuple(tokenizer("<code>\nx = 1\n<end_of_step>\n")["input_ids"][:-1]),
    )
    done = answers(
        policy, [request(0, sampling=SAMPLED), request(1, path=[step], sampling=SAMPLED)]
    )
    first, second = (done[i].candidates[0] for i in range(2))
    assert not first.text.startswith("\n") and second.text.startswith("\n") and not second.exact
    assert second.text == "\n" + tokenizer.decode(second.token_ids)
    prefix = tokenizer(few_shot_prompt("How many?") + step.text + "\n")["input_ids"]
    assert tokenizer.decode(prefix[-1:]) == ">\n"
    with torch.inference_mode():
        logits = model(torch.tensor([prefix + list(second.token_ids)])).logits[
            0, len(prefix) - 1 : -1
        ]
    expected = logits.log_softmax(-1).gather(-1, torch.tensor(second.token_ids)[:, None])[:, 0]
    assert torch.allclose(torch.tensor(second.logprobs), expected, atol=1e-4)


def test_context_limits(model: PreTrainedModel) -> None:
    context = model.config.max_position_embeddings
    room = context - len(prefix_ids("How many?"))
    sampling = Sampling(max_tokens=50, stop=("never",))
    lengths = (room, room - 1, room - 7)
    policy = make(tiny_model("qwen2", byte_tokenizer(), eos_token_id=None))
    done = answers(
        policy,
        [request(i, path=[Segment("x" * n)], sampling=sampling) for i, n in enumerate(lengths)],
    )
    assert done[0].error is not None and f"{context} tokens" in done[0].error
    for i, most in ((1, 1), (2, 7)):
        candidate = done[i].candidates[0]
        assert len(candidate.token_ids) == most or candidate.finish == "eos"


def test_a_sliding_window_bounds_the_context() -> None:
    policy = make(tiny_model("mistral", TOKENIZER, sliding_window=64))
    done = answers(policy, [request(0, "x" * 200)])
    assert done[0].error is not None and "takes 64" in done[0].error


def test_logits_that_are_not_finite_fail_only_their_request(model: PreTrainedModel) -> None:
    broken = tiny_model("qwen2", TOKENIZER, tie_word_embeddings=False)
    policy = make(broken)
    with torch.no_grad():
        broken.get_input_embeddings().weight[TOKENIZER.convert_tokens_to_ids("!")] = float("nan")
    done = answers(policy, [request(0, "fine", n=2), request(1, "not fine!", n=2)])
    assert done[1].error is not None and "not finite" in done[1].error
    assert done[0].error is not None or len(done[0].candidates) == 2
    assert policy.pending == 0


def test_out_of_memory_halves_the_rows(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = tree_requests(4, SAMPLED)
    expected = answers(make(model), requests)
    policy = make(model, max_rows=16)
    forward = policy._model.forward

    def short_of_memory(tokens, positions, batch, keep):  # type: ignore[no-untyped-def]
        if len(batch.places if batch.places is not None else ()) > 4:
            raise torch.OutOfMemoryError("no room")
        return forward(tokens, positions, batch, keep)

    monkeypatch.setattr(policy._model, "forward", short_of_memory)
    done = answers(policy, requests)
    assert {i: [c.token_ids for c in e.candidates] for i, e in done.items()} == {
        i: [c.token_ids for c in e.candidates] for i, e in expected.items()
    }

    def no_memory(*_):  # type: ignore[no-untyped-def]
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(policy._model, "forward", no_memory)
    done = answers(policy, requests[:3])
    assert len(done) == 3 and all(
        e.error is not None and "out of memory" in e.error for e in done.values()
    )


def test_cancel_and_the_model_is_left_as_it_was(model: PreTrainedModel) -> None:
    before = model.config._attn_implementation
    policy = make(model)
    policy.add(tree_requests(3, SAMPLED))
    policy.step()
    policy.cancel()
    assert policy.pending == 0 and policy.step() == []
    assert len(answers(policy, [request(0)])[0].candidates) == 1
    assert model.config._attn_implementation == before


def test_bad_models_are_refused(tmp_path: Path, model: PreTrainedModel) -> None:
    with pytest.raises(PolicyError, match=r"no config\.json"):
        TransformersPolicy(tmp_path)
    with pytest.raises(PolicyError, match="tokenizer"):
        TransformersPolicy(model)
    with pytest.raises(PolicyError, match="max_rows"):
        TransformersPolicy(model, TOKENIZER, max_rows=0)
    mamba = MambaForCausalLM(
        MambaConfig(vocab_size=len(TOKENIZER), hidden_size=16, state_size=4, num_hidden_layers=1)
    )
    with pytest.raises(PolicyError, match="MambaForCausalLM"):
        make(mamba)
    gemma = Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=len(TOKENIZER),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
        )
    )
    with pytest.raises(PolicyError, match="Gemma2Attention uses 'softcap' in its attention"):
        make(gemma)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path, model: PreTrainedModel) -> None:
    model.save_pretrained(tmp_path)
    with pytest.raises(PolicyError, match="expected a tokenizer beside the model"):
        TransformersPolicy(tmp_path, device="cpu")


def test_autocast_is_refused(model: PreTrainedModel) -> None:
    policy = make(model)
    policy.add([request(0)])
    says = "ran in bfloat16 under autocast, but its weights are float32: turn autocast off"
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(PolicyError, match=says):
        policy.step()


@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 0.02), (torch.float32, 1e-5)])
@pytest.mark.parametrize("wide_weights", [1, 10**9])
@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_arranged_linear_layers_compute_the_same(
    architecture: str,
    wide_weights: int,
    dtype: torch.dtype,
    error: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = tiny_model(architecture, TOKENIZER).to(dtype)
    arranged = tiny_model(architecture, TOKENIZER).to(dtype)
    monkeypatch.setattr(cpu_linear, "_WIDE_WEIGHTS", wide_weights)
    arrange_linears(arranged)
    packed = sum(type(layer) is _PackedLinear for layer in arranged.modules())
    if dtype == torch.float32 and torch.backends.mkldnn.is_available():
        assert (packed > 0) == (wide_weights == 1)
    tokens = torch.arange(40)[None]
    with torch.inference_mode():
        expected, got = plain(tokens).logits.float(), arranged(tokens).logits.float()
    assert (got - expected).norm() < error * expected.norm()
    assert list(answers(make(arranged), [request(0, n=3)])) == [0]


def test_embeddings_of_a_tied_head_stay_as_they_are() -> None:
    model = tiny_model("qwen2", TOKENIZER)
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    head.weight = embedding.weight
    arrange_linears(model)
    assert embedding.weight.is_contiguous()
    assert torch.equal(model.get_output_embeddings().weight, embedding.weight)


def test_a_folder_is_loaded(tmp_path: Path, model: PreTrainedModel) -> None:
    model.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    ask = request(0, sampling=GREEDY)
    loaded = answers(TransformersPolicy(tmp_path, device="cpu"), [ask])[0].candidates
    assert [c.token_ids for c in loaded] == [
        c.token_ids for c in answers(make(model), [ask])[0].candidates
    ]
    for half in (torch.bfloat16, "bfloat16"):
        policy = TransformersPolicy(tmp_path, device="cpu", dtype=half)
        assert policy._model.layout.dtype == torch.bfloat16
        assert len(answers(policy, [dataclasses.replace(ask, num_candidates=3)])[0].candidates) == 3
    with pytest.raises(ConfigError, match="device gpu: expected cpu, cuda, cuda:N"):
        TransformersPolicy(tmp_path, device="gpu")
    with pytest.raises(ConfigError, match="dtype int4: expected float32, bfloat16 or float16"):
        TransformersPolicy(tmp_path, device="cpu", dtype="int4")
