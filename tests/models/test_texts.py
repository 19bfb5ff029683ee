"""Texts on their way into a tokenizer, and the mode of a model."""

from types import SimpleNamespace

import pytest
from tiny_models import byte_tokenizer, closing_tokenizer
from torch import nn

from rstar_fast.errors import PolicyError, ScoreError
from rstar_fast.models.modes import evaluation_mode
from rstar_fast.models.texts import check_marks, encodable, missing_embedding, opening_tokens


def test_surrogates_are_replaced_and_other_characters_stay() -> None:
    assert encodable("a\ud800b\udfff😀é") == "a\ufffdb\ufffd😀é"


def test_only_tokens_in_front_open_a_text() -> None:
    assert opening_tokens(byte_tokenizer()) == []
    tokenizer = closing_tokenizer()
    ids = tokenizer.convert_tokens_to_ids(["<bos>", "<eos>"])
    assert tokenizer("ab").input_ids[0] == ids[0] and tokenizer("ab").input_ids[-1] == ids[1]
    assert opening_tokens(tokenizer) == [ids[0]]


def test_special_tokens_may_not_change_a_text() -> None:
    class Odd:
        name_or_path = "odd"

        def __call__(self, text: str, add_special_tokens: bool = True) -> SimpleNamespace:
            return SimpleNamespace(input_ids=[1, 2] if add_special_tokens else [3])

    with pytest.raises(ScoreError, match="'odd': expected special tokens before and after"):
        opening_tokens(Odd(), ScoreError)  # type: ignore[arg-type]


def test_tokens_without_an_embedding_are_named() -> None:
    tokenizer = byte_tokenizer()
    count = len(tokenizer)
    tokenizer.add_tokens(["<mine>"])
    assert missing_embedding(count, tokenizer, []) is None
    assert missing_embedding(count, tokenizer, [count - 1]) is None
    says = rf"token id {count} \('<mine>'\); the model has embeddings for ids below {count}"
    with pytest.raises(PolicyError, match=rf"m: the mark '<mine>' cannot be read: .*{says}"):
        check_marks(count, tokenizer, ["<yours>", "<mine>"], "m", PolicyError)


def test_every_module_gets_its_own_mode_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Dropout())
    model[0].eval()
    with pytest.raises(LookupError), evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        raise LookupError
    assert model.training and not model[0].training and model[1].training
