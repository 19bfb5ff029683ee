"""Tokens of texts that spell marks and special tokens, for tokenizers of many kinds."""

from typing import Any

import pytest
from tiny_models import byte_tokenizer
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from rstar_fast import embedded
from rstar_fast.embedded.problems import graded_problems
from rstar_fast.marks import MARKS, escape
from rstar_fast.models.text_tokens import TextTokens
from rstar_fast.prompts import few_shot_prompt, finetuned_prompt

EMBEDDED: Any = AutoTokenizer.from_pretrained(embedded.policy_path())
SPECIAL = byte_tokenizer([*MARKS, "<|im_end|>"], merges=[("<", "c"), ("o", "d")])
PLAIN = byte_tokenizer(["<|im_end|>"])


def spelt(tokenizer: Any, text: str) -> list[int]:
    tokens: list[int] = tokenizer(
        text, add_special_tokens=False, split_special_tokens=True
    ).input_ids
    return tokens


def in_front(tokenizer: Any, front: str, behind: str = "") -> Any:
    """Give a tokenizer tokens that it puts in front of and behind every text."""
    ids = [(text, tokenizer.convert_tokens_to_ids(text)) for text in (front, behind) if text]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{front} $A {behind}".strip(), special_tokens=ids
    )
    return tokenizer


@pytest.mark.parametrize("tokenizer", [EMBEDDED, SPECIAL, PLAIN])
def test_ordinary_texts_have_the_tokenizers_own_tokens(tokenizer: Any) -> None:
    texts = [
        make(p.question)
        for p in graded_problems("held_out", 2)
        for make in (finetuned_prompt, few_shot_prompt)
    ]
    texts += ["".join(p.steps) for p in graded_problems("train", 2)]
    texts += ["", " ", "\n<code>\n\n", "a <b> c</code> <\\b> é 漢", "x < y > z"]
    tokens = TextTokens(tokenizer)
    expected = tokenizer(texts, add_special_tokens=False).input_ids
    assert [tokens.of(text) for text in texts] == expected
    assert tokens.of_all(texts) == expected and tokens.of_all([]) == []
    assert [tokens.filled(["a<code>", "b"], text) for text in texts] == (
        tokenizer([f"a<code>{text}b" for text in texts], add_special_tokens=False).input_ids
    )


def test_escaped_marks_are_their_letters() -> None:
    tokens = TextTokens(SPECIAL)
    code = SPECIAL.convert_tokens_to_ids("<code>")
    assert tokens.of("<code>'<\\code>'") == [code, *spelt(SPECIAL, "'<code>'")]
    assert SPECIAL.decode(tokens.of("<\\\\code>")) == "<\\code>"
    assert PLAIN.decode(TextTokens(PLAIN).of("<code>'<\\code>'")) == "<code>'<\\code>'"
    # Its prompt has tokens of marks that are not called special, and words that are no marks.
    text = finetuned_prompt("Tom has <|user|>:\n 12 apples<eos>, <code>.")
    assert EMBEDDED.convert_ids_to_tokens(TextTokens(EMBEDDED).of(text))[:5] == [
        "<|user|>:\n",
        "Tom",
        " has",
        "Ġ",
        "<",
    ]
    assert EMBEDDED.decode(TextTokens(EMBEDDED).of(text)) == text.replace("<\\", "<")
    assert TextTokens(EMBEDDED).of(text).count(EMBEDDED.convert_tokens_to_ids("<|user|>:\n")) == 1


def test_special_tokens_are_their_letters() -> None:
    for tokenizer in (SPECIAL, PLAIN):
        text = "a<|im_end|>b<eos>"
        assert TextTokens(tokenizer).of(text) == spelt(tokenizer, text)
        assert TextTokens(tokenizer).of_all([text, "a"]) == [
            spelt(tokenizer, text),
            [tokenizer("a").input_ids[0]],
        ]


def test_a_template_may_spell_special_tokens_and_its_text_may_not() -> None:
    end = SPECIAL.convert_tokens_to_ids("<|im_end|>")
    found = TextTokens(SPECIAL).filled(["<|im_end|>a", "<|im_end|>"], escape("<|im_end|><code>"))
    assert found == [end, *spelt(SPECIAL, "a"), *spelt(SPECIAL, "<|im_end|><code>"), end]


def test_tokens_in_front_stay_and_tokens_behind_go() -> None:
    tokenizer = byte_tokenizer(["<s>"])
    tokens = TextTokens(in_front(tokenizer, "<s>", "<eos>"))
    begin = tokenizer.convert_tokens_to_ids("<s>")
    assert (
        tokens.of("ab", opens=True) == tokenizer("ab").input_ids[:-1] == [begin, *tokens.of("ab")]
    )
    assert tokens.of_all(["a<s>"], opens=True) == [[begin, *spelt(tokenizer, "a<s>")]]
    assert tokens.filled(["a"], "") == [begin, *tokens.of("a")]


def test_tokens_that_are_not_called_special_but_are() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(
        [AddedToken(text, normalized=False) for text in ("<code>", "<|im_end|>", "<b>")]
    )
    ids = {text: tokenizer.convert_tokens_to_ids(text) for text in ("<code>", "<|im_end|>", "<b>")}
    found = TextTokens(tokenizer).of("<code><b><\\code><|im_end|>")
    assert (
        found[:2] == [ids["<code>"], ids["<b>"]]
        and tokenizer.decode(found[2:]) == "<code><|im_end|>"
    )
    assert not {*ids.values()} & {*found[2:]}


def test_a_tokenizer_that_finds_special_tokens_in_any_text() -> None:
    vocabulary = {text: i for i, text in enumerate(["<unk>", "<eos>", "a", "b"])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", eos_token="<eos>"
    )
    assert spelt(tokenizer, "a <eos>") == [2, 1]
    assert TextTokens(tokenizer).of("a <eos> strange b") == [2, 0, 0, 0, 3]
    assert 1 not in TextTokens(tokenizer).of("<unk> <eos>")


def test_sampled_tokens_are_kept_unless_they_forge() -> None:
    code, end = SPECIAL.convert_tokens_to_ids(["<code>", "<|im_end|>"])
    tokens = TextTokens(SPECIAL)
    plain = spelt(SPECIAL, "'<code>'")
    assert tokens.are_of([code, *plain], "<code>'<\\code>'")
    assert not tokens.are_of([code, *plain], "<code>'<code>'")
    assert not tokens.are_of([code, code], "<code><\\code>")
    assert not tokens.are_of([*plain, end], "'<\\code>'<|im_end|>")
    assert TextTokens(PLAIN).are_of(spelt(PLAIN, "<code>x"), "<code>x")
    assert not TextTokens(PLAIN).are_of(spelt(PLAIN, "'<code>'"), "'<\\code>'")


def test_lone_surrogates_are_replaced() -> None:
    assert TextTokens(PLAIN).of("a\ud800") == TextTokens(PLAIN).of("a\ufffd")
