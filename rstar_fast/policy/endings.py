"""Where a row ends, and the candidate that it then is."""

from dataclasses import replace
from typing import TYPE_CHECKING

from rstar_fast.marks.thinking import thinking_end
from rstar_fast.policy.base import Candidate, Finish
from rstar_fast.policy.rows import DecodeRow
from rstar_fast.policy.stopping import Detokenizer, StopMarks, is_whole

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Endings:
    """Finds the rows that end with their newest token.

    A mark in a thinking part at the beginning of a candidate ends nothing.
    """

    def __init__(
        self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", lead: str
    ) -> None:
        """Take what ends a text from a model and its tokenizer.

        Args:
            model: Causal language model.
            tokenizer: Tokenizer of the model.
            lead: Text that the prompt's format puts in front of every step but the first.
        """
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._lead = lead
        self._end_tokens = _end_tokens(model, tokenizer)
        self._marks: dict[tuple[str, ...], StopMarks] = {}

    def stop_marks(self, marks: tuple[str, ...]) -> StopMarks:
        """Return the finder of some stop marks. It is made once."""
        if marks not in self._marks:
            self._marks[marks] = StopMarks(marks, self._tokenizer)
        return self._marks[marks]

    def candidate(self, row: DecodeRow) -> Candidate | None:
        """Return the candidate of a row if its newest token ends it, else None."""
        group, token = row.group, row.tokens[-1]
        if row.spells_mark or group.marks.may_end(token):
            text = self._detokenizer.text(group.tokens, row.tokens)
            begin = thinking_end(text)
            if token in group.marks.tokens and begin < len(text):
                return replace(self._make(row, text, "mark", True), ends_with_token=True)
            if (end := group.marks.end(text[begin:], goes_on=True)) >= 0:
                return self._make(row, text[: begin + end], "mark", begin + end == len(text))
            # The next tokens tell whether it stands in a string literal.
            row.spells_mark = group.marks.are_spelt(text[begin:])
        if token in self._end_tokens:
            text = self._detokenizer.text(group.tokens, row.tokens[:-1])
            return self._cut(row, text, "eos", False)
        if len(row.tokens) >= group.budget:
            text = self._detokenizer.text(group.tokens, row.tokens)
            return self._cut(row, text, "length", is_whole(text))
        return None

    def _cut(self, row: DecodeRow, text: str, finish: Finish, exact: bool) -> Candidate:
        """Return the candidate of a text that does not go on: a mark in an open literal ends it."""
        begin = thinking_end(text)
        if (end := row.group.marks.end(text[begin:])) >= 0:
            end += begin
            return self._make(row, text[:end], "mark", exact and end == len(text))
        return self._make(row, text, finish, exact)

    def _make(self, row: DecodeRow, text: str, finish: Finish, exact: bool) -> Candidate:
        lead = self._lead if row.group.request.path else ""
        return Candidate(
            lead + text, tuple(row.tokens), tuple(row.logprobs), finish, exact and not lead
        )


def _end_tokens(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """Return all tokens that end a text, by the model's configurations and the tokenizer."""
    found: set[int] = set()
    for source in (model.generation_config, model.config.get_text_config(), tokenizer):
        ids = getattr(source, "eos_token_id", None)
        if ids is not None:
            found.update(ids if isinstance(ids, list) else [ids])
    return frozenset(found)
