"""String literals and comments of Python, found in text that need not be Python.

A quote that is not closed, or that stands behind a letter as in "it's", begins no literal.
"""

_OPENS = r"(?:(?<!\w.)|(?<=\b[rbufRBUF].)|(?<=\b[rbfRBF]{2}.))"


def _of_both_quotes(literal: str) -> str:
    return "|".join(literal.replace("Q", quote) for quote in "'\"")


LITERAL = _of_both_quotes(rf"Q{_OPENS}(?:QQ(?:[^\\]|\\.)*?QQQ|(?:[^Q\\\n]|\\.)++Q|Q(?!Q))")
"""Pattern of a string literal. It needs the flag DOTALL, as all of these do."""
OPEN_LITERAL = _of_both_quotes(rf"Q{_OPENS}(?:QQ(?:[^\\]|\\.)*+\\?\Z|(?:[^Q\\\n]|\\.)*+\\?\Z)")
"""Pattern of a literal that the end of the text leaves open."""
COMMENT = r"#[^\n]*+"
"""Pattern of a comment. What stands behind a `#` in prose matches too."""
COMMENT_LINE = r"(?:(?<=\n)|(?<!.))[ \t]*+#[^\n]*+"
"""Pattern of a line that is a comment. Headings of Markdown match too."""
