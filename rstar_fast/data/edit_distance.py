"""Whether the edit distance of two texts reaches a bound. The distance itself is not computed."""


def at_least(first: str, second: str, edits: int) -> bool:
    """Return whether the edit distance of two texts is at least `edits`.

    The edit distance is the least number of insertions, deletions and substitutions of a character
    that turn one text into the other. This takes about len(first) * edits steps (Ukkonen's band):
    what is further than `edits` from the diagonal costs more edits than that in any case.

    >>> at_least("kitten", "sitting", 3), at_least("kitten", "sitting", 4)
    (True, False)
    """
    if abs(len(first) - len(second)) >= edits:
        return True
    far = edits
    row = [min(j, far) for j in range(len(second) + 1)]
    for i, char in enumerate(first, 1):
        low, high = max(1, i - edits), min(len(second), i + edits)
        diagonal = row[low - 1]
        row[low - 1] = min(i, far) if low == 1 else far
        if high < len(second):
            row[high + 1] = far
        best = row[low - 1]
        for j in range(low, high + 1):
            change = diagonal + (char != second[j - 1])
            diagonal = row[j]
            row[j] = min(change, diagonal + 1, row[j - 1] + 1)
            best = min(best, row[j])
        if best >= far:
            return True
    return row[-1] >= far
