r"""The contents of `\boxed{...}` and `\fbox{...}` in a text."""

import re
from collections import deque
from collections.abc import Iterator

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_WORD = re.compile(r"(?:\{(?:[^{}]|\{[^{}]*\})*\}|(?!\\[)\]])[^\s$<{}])+")
_PUNCTUATION = ".,;:!?"
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def has_box(text: str) -> bool:
    """Return whether a text has a box, if only an empty one or one that is never closed."""
    return _BOX.search(text) is not None


def boxed(text: str) -> str:
    r"""Return what the boxes of a text hold, as a list with commas if there are several.

    A box that repeats another one adds nothing, nor does one that is empty or never closed. The
    content of a box without braces is the word behind it. A box within a box is its content.

    >>> boxed(r"$\boxed{3}$ and $\boxed{5}$, so $\boxed{3}$ or $\boxed 5.$")
    '3, 5'
    """
    found: dict[str, str] = {}
    for content in filter(None, _contents(text)):
        found.setdefault("".join(content.split()), content)
    return ", ".join(found.values())


def last_boxed(text: str) -> str | None:
    r"""Return what the last box of a text holds: "" if it is never closed. None without a box.

    >>> last_boxed(r"\boxed{1}, or rather \boxed{2}"), last_boxed(r"\boxed{1} or \boxed{2")
    ('2', '')
    """
    return next(iter(deque(_contents(text), maxlen=1)), None)


def closing_brace(text: str, start: int) -> int:
    r"""Return the index of the brace that closes the one at `start`, or -1 if there is none.

    >>> closing_brace(r"{a{b}\}c}d", 0)
    8
    """
    depth = 0
    for brace in _BRACE.finditer(text, start):
        depth += (brace[0] == "{") - (brace[0] == "}")
        if depth == 0:
            return brace.start()
    return -1


def _contents(text: str) -> Iterator[str]:
    """Yield what the boxes of a text hold, in order. A box within a box is its content."""
    position = 0
    while box := _BOX.search(text, position):
        content, position = _content(text, box.end())
        yield _without_boxes(content).strip()


def _content(text: str, start: int) -> tuple[str, int]:
    """Return the content of the box whose argument begins at `start`, and where it ends."""
    if not text.startswith("{", start):
        word = _WORD.match(text, start)
        return (word[0].rstrip(_PUNCTUATION), word.end()) if word else ("", start)
    end = closing_brace(text, start)
    return (text[start + 1 : end], end + 1) if end >= 0 else ("", len(text))


def _without_boxes(content: str) -> str:
    """Return what boxes hold in the place of these boxes. Unclosed ones end the content."""
    closing = _closing_braces(content)
    dropped: list[tuple[int, int]] = []
    end = len(content)
    for box in _BOX.finditer(content):
        start = box.end()
        if start in closing:
            dropped += [(box.start(), start + 1), (closing[start], closing[start] + 1)]
        elif content.startswith("{", start):
            end = box.start()
            break
        else:
            dropped.append(box.span())
            word = None if _BOX.match(content, start) else _WORD.match(content, start)
            if word:
                dropped.append((start + len(word[0].rstrip(_PUNCTUATION)), word.end()))
    pieces, position = [], 0
    for begin, after in sorted(dropped):
        pieces.append(content[position : min(begin, end)])
        position = max(position, after)
    return "".join([*pieces, content[position:end]])


def _closing_braces(text: str) -> dict[int, int]:
    """Return the place of the closing brace for that of each opening one."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACE.finditer(text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif brace[0] == "}" and opened:
            closing[opened.pop()] = brace.start()
    return closing
