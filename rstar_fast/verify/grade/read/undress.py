"""Taking off what an answer is dressed in: delimiters, boxes, fonts, sizes, Markdown, Unicode."""

import re
import unicodedata

from rstar_fast.boxes import closing_brace
from rstar_fast.verify.grade.read.vocabulary import TEXT_COMMANDS

_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi chi psi "
    "omega Gamma Delta Theta Lambda Sigma Phi Psi Omega"
)
_CHARACTERS = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u2014": "-",
        "\u2010": "-",
        "\u2011": "-",
        "×": r"\times ",
        "·": r"\cdot ",
        "⋅": r"\cdot ",
        "∙": r"\cdot ",
        "÷": r"\div ",
        "∞": r"\infty ",
        "π": r"\pi ",
        "°": r"^{\circ}",
        "º": r"^{\circ}",
        "±": r"\pm ",
        "≤": r"\le ",
        "⩽": r"\le ",
        "≥": r"\ge ",
        "⩾": r"\ge ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∖": r"\setminus ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "ℝ": r"\mathbb{R}",
        "ℤ": r"\mathbb{Z}",
        "…": r"\ldots ",
        "⋯": r"\ldots ",
        "′": "'",
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "，": ",",
        "。": ".",
        "∧": r"\land ",
        "∨": r"\lor ",
        "⌊": r"\lfloor ",
        "⌋": r"\rfloor ",
        "⌈": r"\lceil ",
        "⌉": r"\rceil ",
        "√": r"\sqrt ",
        "∛": r"\sqrt[3] ",
        "€": r"\euro ",
        "£": r"\pounds ",
        "¥": r"\yen ",
        "⁄": "/",
        "\ufeff": "",
        "\u200b": "",
        "\u200c": "",
        "\u200d": "",
        "\u2060": "",
        "\u00ad": "",
    }
    | {
        letter: rf"\{name} "
        for letter, name in zip(
            "αβγδεζηθκλμνξρστφχψωΓΔΘΛΣΦΨΩ",
            _GREEK_NAMES.split(),
            strict=True,
        )
    }
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_VULGAR = re.compile("[¼½¾⅐-⅞]")
_SIZE = re.compile(
    r"\\(?:left|right|middle|[bB]ig{1,2}[lrm]?|displaystyle|textstyle|scriptstyle|limits|nolimits"
    r"|hfill|hspace\*?\{[^{}]*\}|phantom\{[^{}]*\}|strut|mathstrut)(?![a-zA-Z])\.?"
)
_SPACING = re.compile(r"(?<!\\)\\[,;: >]|\\(?:quad|qquad|thinspace|enspace)(?![a-zA-Z])|~|\s")
_GLUED_SPACING = re.compile(r"\\(?:quad|qquad)(?=[a-zA-Z])")
_FRACTION = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![a-zA-Z])\s*")
_COLOUR = re.compile(r"\\(?:color|textcolor|colorbox)\s*(?:\[[^\]]*\])?\s*\{[^{}]*\}")
_FONT = re.compile(
    r"\\(?:mathbf|mathit|mathsf|mathtt|mathnormal|mathcal|boldsymbol|bm|bold|underline|ensuremath"
    r"|displaylines|mathop|uppercase|tiny|scriptsize|footnotesize|small|normalsize|large|Large"
    r"|LARGE|huge|Huge)"
    r"(?![a-zA-Z])"
)
_MARKDOWN = re.compile(r"\A(\*\*|__|`{1,3}|\*(?=\S))(.+)\1\Z", re.DOTALL)
_LEAD = re.compile(
    r"\A(?:[Tt]he\s+)?(?:final\s+)?[Aa]nswer\s*(?:is|:|=)\s*|"
    r"\A(?:#{1,6}(?=\s|\d)|[:=](?!=)|\\therefore(?![a-zA-Z])|\\implies(?![a-zA-Z]))\s*"
)
_DELIMITER = re.compile(r"(?<!\\)(?:\$|\\[()\[\]])")
_PRICE = re.compile(r"(\A-?|[^$\\\d]-?)\$(?=\s?\.?\d)(?=[^$]*\Z)")
_END = re.compile(r"(?:(?<!\.)\.{1,2}|(?<=\.\.\.)\.|[,;\s]|\\\\)\Z")
_WHOLE_TEXT = re.compile(rf"\A\\(?:{'|'.join(sorted(TEXT_COMMANDS))})\s*(?=\{{)")
_QUOTED = re.compile(r"(?<![^\s\[({,])(['\"])([^'\"]*)\1(?![^\s\])},.])")
_GLUED_WORD = re.compile(r"(?<=[\d)}])(or|and)(?=[a-zA-Z]\s*[=<>])")
_STRAY_BACKSLASH = re.compile(r"(?<!\\)\\(?=\d)")


def undress(answer: str) -> str:
    r"""Return an answer without what does not change its meaning.

    Taken off are the delimiters of mathematics, boxes, colours, fonts, sizes, Markdown, invisible
    characters, and punctuation at the end. Unicode signs become LaTeX. What is left may still hold
    `\text{...}`, where that is a part of the answer.

    >>> undress(r"$\boxed{\dfrac{1}{2}}$."), undress(r"\textcolor{blue}{5}"), undress("2√3")
    ('\\frac{1}{2}', '{5}', '2\\sqrt 3')
    """
    text = _PRICE.sub(r"\1\\$", _plain_characters(answer).strip())
    text = _FRACTION.sub(r"\\frac", text).replace(r"\!", "").replace("{,}", ",")
    for pattern, new in (
        (_SIZE, ""),
        (_GLUED_SPACING, " "),
        (_COLOUR, ""),
        (_FONT, ""),
        (_STRAY_BACKSLASH, ""),
        (_GLUED_WORD, r" \1 "),
        (_QUOTED, r"\2"),
        (_DELIMITER, " "),
        (_SPACING, " "),
    ):
        text = pattern.sub(new, text)
    text = " ".join(text.split())
    while True:
        before = text
        text = _END.sub("", text)
        if match := _MARKDOWN.match(text):
            text = match[2].strip()
        text = _LEAD.sub("", text)
        for wrapper in (_BOX, _WHOLE_TEXT):
            if match := wrapper.match(text):
                text = _unwrapped(text, match.end())
        if text == before:
            return _BOX.sub("", text).strip()


def _plain_characters(text: str) -> str:
    text = _RAISED.sub(lambda match: f"^{{{match[0].translate(_SUPERSCRIPTS)}}}", text)
    text = _LOWERED.sub(lambda match: f"_{{{match[0].translate(_SUBSCRIPTS)}}}", text)
    text = _VULGAR.sub(_vulgar_fraction, text).translate(_CHARACTERS)
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _vulgar_fraction(match: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", match[0]).partition("\u2044")
    return rf"\frac{{{above}}}{{{below}}}"


def _unwrapped(text: str, start: int) -> str:
    """Return what the group at `start` holds, if it is the rest of the text. Else the text."""
    if text[start : start + 1] != "{":
        return text[start:].strip()
    return text[start + 1 : -1].strip() if closing_brace(text, start) == len(text) - 1 else text
