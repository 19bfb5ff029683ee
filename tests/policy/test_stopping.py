"""Where candidates end, with a model that is made to write a given text."""

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch
from tiny_models import EOS, answers, byte_tokenizer, request, tiny_model
from transformers import PreTrainedTokenizerFast

from rstar_fast.marks.thinking import without_thinking
from rstar_fast.policy import Candidate, Sampling, TransformersPolicy
from rstar_fast.policy.stopping import Detokenizer, StopMarks
from rstar_fast.steps import END_OF_STEP


def written(
    tokenizer: PreTrainedTokenizerFast, script: Sequence[int], sampling: Sampling
) -> Candidate:
    """What a policy makes of a model that writes these tokens."""
    policy = TransformersPolicy(tiny_model("llama", tokenizer), tokenizer)
    forward, told = policy._model.forward, iter(script)

    def scripted(*args):  # type: ignore[no-untyped-def]
        logits = torch.full_like(forward(*args), -10.0)
        logits[:, next(told)] = 10.0
        return logits

    policy._model = SimpleNamespace(  # type: ignore[assignment]
        forward=scripted,
        model=policy._model.model,
        layout=policy._model.layout,
        context_tokens=policy._model.context_tokens,
    )
    return answers(policy, [request(0, sampling=sampling)])[0].candidates[0]


PLAIN = byte_tokenizer()
SPECIAL = byte_tokenizer(specials=[END_OF_STEP])
MERGED = byte_tokenizer(merges=[(">", "Ċ")])
GREEDY = Sampling(temperature=0, max_tokens=40)


@pytest.mark.parametrize("tokenizer", [PLAIN, SPECIAL], ids=["plain", "special"])
def test_a_mark_ends_the_candidate(tokenizer: PreTrainedTokenizerFast) -> None:
    script = tokenizer.encode(f"x > 1 <b>{END_OF_STEP}")
    candidate = written(tokenizer, [*script, *tokenizer.encode("more")], GREEDY)
    assert candidate.text == f"x > 1 <b>{END_OF_STEP}"
    assert candidate.token_ids == tuple(script)
    assert len(candidate.logprobs) == len(script)
    assert (candidate.finish, candidate.exact) == ("mark", True)
    assert len(script) == (10 if tokenizer is SPECIAL else 22)


def test_a_token_may_run_past_the_mark() -> None:
    script = MERGED.encode(f"x{END_OF_STEP}\n")
    candidate = written(MERGED, script, GREEDY)
    assert candidate.text == f"x{END_OF_STEP}"
    assert candidate.token_ids == tuple(script)
    assert (candidate.finish, candidate.exact) == ("mark", False)


LITERAL = f"s = '{END_OF_STEP}'\n"


def test_a_mark_in_a_string_is_text_where_marks_are_text() -> None:
    text = f"{LITERAL}print(len(s))\n{END_OF_STEP}"
    candidate = written(PLAIN, PLAIN.encode(text + "more"), Sampling(temperature=0, max_tokens=80))
    assert (candidate.text, candidate.finish, candidate.exact) == (text, "mark", True)
    # A quote that is not closed on its line begins no string. The next line tells.
    text = f"It is 'so {END_OF_STEP}"
    candidate = written(PLAIN, PLAIN.encode(text + "\nand 'more"), GREEDY)
    assert (candidate.text, candidate.finish, candidate.exact) == (text, "mark", False)
    for script in (PLAIN.encode(text + "x" * 40), [*PLAIN.encode(text), PLAIN.eos_token_id]):
        candidate = written(PLAIN, script, GREEDY)
        assert (candidate.text, candidate.finish, candidate.exact) == (text, "mark", False)


THOUGHT = f"<think>\nA step ends with {END_OF_STEP}, {END_OF_STEP}\n</think>\n\n"


@pytest.mark.parametrize("tokenizer", [PLAIN, SPECIAL], ids=["plain", "special"])
def test_a_mark_in_a_thinking_part_is_text(tokenizer: PreTrainedTokenizerFast) -> None:
    long = Sampling(temperature=0, max_tokens=120)
    script = tokenizer.encode(f"{THOUGHT}x = '<b>'\n{END_OF_STEP}")
    candidate = written(tokenizer, [*script, *tokenizer.encode("more")], long)
    assert candidate.text == tokenizer.decode(script)
    assert candidate.token_ids == tuple(script)
    assert (candidate.finish, candidate.exact) == ("mark", True)
    # Without an end of the thinking there is no step.
    thought = THOUGHT.partition("</think>")[0]
    for end, finish in (([tokenizer.eos_token_id], "eos"), (tokenizer.encode("x" * 120), "length")):
        candidate = written(tokenizer, [*tokenizer.encode(thought), *end], long)
        assert candidate.text.startswith(thought) and candidate.finish == finish
        assert without_thinking(candidate.text) == ""


def test_a_mark_with_a_token_is_that_token_alone() -> None:
    spelt = SPECIAL.encode(f"# {END_OF_STEP}\n{LITERAL}", split_special_tokens=True)
    script = [*spelt, *SPECIAL.encode(END_OF_STEP)]
    candidate = written(SPECIAL, [*script, *script], Sampling(temperature=0, max_tokens=90))
    assert candidate.text == f"# {END_OF_STEP}\n{LITERAL}{END_OF_STEP}"
    assert candidate.token_ids == tuple(script)
    assert (candidate.finish, candidate.exact, candidate.ends_with_token) == ("mark", True, True)


def test_own_marks_and_the_first_of_several() -> None:
    candidate = written(
        PLAIN,
        PLAIN.encode("a; b\n\nc"),
        Sampling(temperature=0, max_tokens=40, stop=("\n\n", "; ")),
    )
    assert candidate.text == "a; "


def test_eos_is_no_text() -> None:
    script = [*PLAIN.encode("done"), PLAIN.convert_tokens_to_ids(EOS)]
    candidate = written(PLAIN, script, GREEDY)
    assert (candidate.text, candidate.token_ids, candidate.finish, candidate.exact) == (
        "done",
        tuple(script),
        "eos",
        False,
    )


def test_length() -> None:
    candidate = written(PLAIN, PLAIN.encode("abcdef"), Sampling(temperature=0, max_tokens=4))
    assert (candidate.text, candidate.finish, candidate.exact) == ("abcd", "length", True)


def test_characters_split_over_tokens() -> None:
    script = PLAIN.encode("π€")
    assert len(script) == 5
    whole = written(PLAIN, [*script, *PLAIN.encode(END_OF_STEP)], GREEDY)
    assert (whole.text, whole.exact) == (f"π€{END_OF_STEP}", True)
    torn = written(PLAIN, script, Sampling(temperature=0, max_tokens=3))
    assert (torn.text, torn.finish, torn.exact) == ("π\ufffd", "length", False)


def test_only_tokens_that_can_end_a_mark_are_looked_at() -> None:
    marks = StopMarks((END_OF_STEP,), MERGED)
    assert [marks.may_end(t) for t in MERGED.encode("a>\n>b")] == [False, True, True, False]
    assert marks.end(f"a{END_OF_STEP}b{END_OF_STEP}") == 1 + len(END_OF_STEP)
    assert marks.end("a") == -1


def test_text_after_a_prefix() -> None:
    detokenizer = Detokenizer(PLAIN)
    prefix, tokens = PLAIN.encode("naïve π"), PLAIN.encode(" = 3")
    assert detokenizer.text(prefix, tokens) == " = 3"
    assert detokenizer.text(prefix[:-1], [prefix[-1], *tokens]).endswith(" = 3")
