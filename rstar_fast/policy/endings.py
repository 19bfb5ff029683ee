"""Where a draft ends, and the candidate that it then is."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rstar_fast.marks.thinking import thinking_end
from rstar_fast.policy.base import Candidate, Finish
from rstar_fast.policy.drafts import Draft
from rstar_fast.policy.stopping import Detokenizer, StopMarks, is_whole

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Endings:
    """Finds the drafts that end with their newest token.

    A mark in a thinking part at the beginning of a candidate ends nothing.

    Attributes:
        end_tokens: Tokens that end a text.
    """

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", end_tokens: frozenset[int], lead: str
    ) -> None:
        """Take what ends a text.

        Args:
            tokenizer: Tokenizer of the model.
            end_tokens: Tokens that end a text, see `find_end_tokens`.
            lead: Text that the prompt's format puts in front of every step but the first.
        """
        self.end_tokens = end_tokens
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._lead = lead
        self._marks: dict[tuple[str, ...], StopMarks] = {}

    def stop_marks(self, marks: tuple[str, ...]) -> StopMarks:
        """Return the finder of some stop marks. It is made once."""
        if marks not in self._marks:
            self._marks[marks] = StopMarks(marks, self._tokenizer)
        return self._marks[marks]

    def candidate(self, draft: Draft) -> Candidate | None:
        """Return the candidate of a draft if its newest token ends it, else None."""
        group, token = draft.group, draft.tokens[-1]
        if draft.spells_mark or group.marks.may_end(token):
            text = self._detokenizer.text(group.tokens, draft.tokens)
            begin = thinking_end(text)
            if token in group.marks.tokens and begin < len(text):
                return replace(self._make(draft, text, "mark", True), ends_with_token=True)
            if (end := group.marks.end(text[begin:], goes_on=True)) >= 0:
                return self._make(draft, text[: begin + end], "mark", begin + end == len(text))
            # The next tokens tell whether it stands in a string literal.
            draft.spells_mark = group.marks.are_spelt(text[begin:])
        if token in self.end_tokens:
            text = self._detokenizer.text(group.tokens, draft.tokens[:-1])
            return self._cut(draft, text, "eos", False)
        if len(draft.tokens) >= group.budget:
            text = self._detokenizer.text(group.tokens, draft.tokens)
            return self._cut(draft, text, "length", is_whole(text))
        return None

    def _cut(self, draft: Draft, text: str, finish: Finish, exact: bool) -> Candidate:
        """Return the candidate of a text that does not go on: a mark in an open literal ends it."""
        begin = thinking_end(text)
        if (end := draft.group.marks.end(text[begin:])) >= 0:
            end += begin
            return self._make(draft, text[:end], "mark", exact and end == len(text))
        return self._make(draft, text, finish, exact)

    def _make(self, draft: Draft, text: str, finish: Finish, exact: bool) -> Candidate:
        lead = self._lead if draft.group.request.path else ""
        return Candidate(
            lead + text, tuple(draft.tokens), tuple(draft.logprobs), finish, exact and not lead
        )


def find_end_tokens(*sources: Any) -> frozenset[int]:
    """Return all tokens that end a text.

    Args:
        sources: A model's configuration, its generation configuration and its tokenizer. None for
            one that is missing.
    """
    found: set[int] = set()
    for source in sources:
        ids = getattr(source, "eos_token_id", None)
        if ids is not None:
            found.update(ids if isinstance(ids, list) else [ids])
    return frozenset(found)
