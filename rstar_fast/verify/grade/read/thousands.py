"""Joining the groups of three digits of large numbers."""

import re

_COMMAS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3}){1,3}(?:\.\d+)?(?!\d|,\s?\d|\.\d)")
_SPACES = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?:\.\d+)?(?!\d|,\d| \d|\s?/)")


def without_thousands(text: str) -> str:
    """Return a text in which "1,000" and "1 000" are "1000".

    Within brackets, a comma separates elements. A comma that a space follows does so everywhere.

    >>> without_thousands("1,000"), without_thousands("(1,000)"), without_thousands("1, 000")
    ('1000', '(1,000)', '1, 000')
    """
    if "," not in text and " " not in text:
        return text
    text = _SPACES.sub(lambda match: match[0].replace(" ", ""), text)
    pieces, depth, begin = [], 0, 0
    for i, char in enumerate(text):
        is_group = char == "{" and text[i - 1 : i].isalnum()
        if char in "([{" and depth == 0 and not is_group:
            pieces.append(_joined_groups(text[begin:i]))
            begin = i
        depth = max(0, depth + (char in "([{") - (char in ")]}"))
        if char in ")]}" and depth == 0 and begin < i:
            pieces.append(text[begin : i + 1])
            begin = i + 1
    pieces.append(text[begin:] if depth else _joined_groups(text[begin:]))
    return "".join(pieces)


def _joined_groups(text: str) -> str:
    return _COMMAS.sub(lambda match: _joined(match[0]), text)


def _joined(number: str) -> str:
    """Join the groups of a number, unless it rather is a list such as "98,118,122,142"."""
    groups = number.partition(".")[0].split(",")
    rises = [int(group) for group in groups] == sorted(map(int, groups))
    is_list = groups[0].startswith("0") or (len(groups) > 3 and rises)
    return number if is_list else number.replace(",", "")
