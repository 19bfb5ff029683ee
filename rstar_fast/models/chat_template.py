"""The chat template of a tokenizer, with a gap for the question."""

from typing import TYPE_CHECKING, Any

from rstar_fast.errors import PolicyError, described
from rstar_fast.marks.thinking import with_closed_thinking
from rstar_fast.prompts import chat_messages

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Messages = list[dict[str, str]]

_GAP = "question-4e1c7a90d2b8"
_TURN = "solution-4e1c7a90d2b8"
"""Texts in the places of question and solution. No template changes them or has them."""
_NO_THINKING = {"enable_thinking": False, "thinking": False}
"""Variables by which templates are told that the model shall not think first."""
_FIXED_DATE = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}\n"
"""Beginning of a template. With the date of today, a prompt would change from day to day."""


def chat_template(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Return the conversation of `prompts.chat_messages` as a text, up to the assistant's turn.

    The model is asked not to think first, as far as its template knows of that. A thinking part
    that the template opens is closed.

    Args:
        tokenizer: Tokenizer with a chat template. If the template knows no system message, its text
            begins the first turn of the user.

    Returns:
        Pieces of the text around the question, at least two.

    Raises:
        PolicyError: The tokenizer has no chat template, or one that cannot hold the conversation.
    """
    if not tokenizer.chat_template:
        raise PolicyError(
            f"prompt 'chat': expected a tokenizer with a chat template, and "
            f"{tokenizer.name_or_path!r} has none; use another prompt, such as 'few_shot'"
        )
    messages = chat_messages(_GAP)
    reason = ""
    for conversation in (messages, _without_system(messages)):
        try:
            text = _rendered(tokenizer, conversation, add_generation_prompt=True)
        except Exception as error:
            # A template is a program of the model's author, and may raise anything.
            reason = reason or f"it says: {described(error)}"
            continue
        if _has_all(text, conversation):
            return with_closed_thinking(_with_header(tokenizer, conversation, text)).split(_GAP)
        reason = reason or "it leaves a message out"
    raise PolicyError(
        f"prompt 'chat': the chat template of {tokenizer.name_or_path!r} cannot hold a "
        f"conversation with solved examples: {reason}; use another prompt, such as 'few_shot'"
    )


def _with_header(tokenizer: Any, messages: Messages, prompt: str) -> str:
    """Return a prompt with what else the template writes before the words of the assistant.

    In some formats the model chooses between channels, and one of them is for thinking.
    """
    solved = [*messages, {"role": "assistant", "content": _TURN}]
    try:
        text = _rendered(tokenizer, solved)
    except Exception:
        # A template may want the user to have the last word.
        return prompt
    header, found, _ = text.partition(_TURN)
    # The model writes blanks itself, often together with what follows.
    more = header.removeprefix(prompt).rstrip()
    return prompt + more if found and more and header.startswith(prompt) else prompt


def _rendered(tokenizer: Any, messages: Messages, **options: Any) -> str:
    return str(
        tokenizer.apply_chat_template(
            messages,
            chat_template=_FIXED_DATE + tokenizer.get_chat_template(),
            tokenize=False,
            **options,
            **_NO_THINKING,
        )
    )


def _without_system(messages: Messages) -> Messages:
    """Return a conversation whose first turn of the user begins with the system message."""
    system, first, *others = messages
    content = f"{system['content']}\n\n{first['content']}"
    return [{"role": "user", "content": content}, *others]


def _has_all(text: str, messages: Messages) -> bool:
    """Return whether a text has the content of every message."""
    return all(message["content"] in text for message in messages)
