"""Final answers as text: a form for exact comparison, and LaTeX for math-verify.

Runs in the main process (`normalise`) and in math-verify workers (`readings`).
"""

import re

from rstar_fast.verify.grade.python_latex import python_to_latex

_NO_MEANING = re.compile(
    r"\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|\\[,!;: ]|\\displaystyle|\s+|~|\$"
)
_FRACTION = re.compile(r"\\[dtc]frac")
_SHORT_FRACTION = re.compile(r"\\frac(\d)(\d)(?!\d)")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mbox)\{([^{}]*)\}")
_BOX = re.compile(r"\\boxed\{(.*)\}", re.DOTALL)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_NUMBER_AND_UNIT = re.compile(r"([-+]?[$€£]?\d[\d,]*(?:\.\d+)?)\s+([A-Za-z][A-Za-z ]*)")
_MIXED_NUMBER = re.compile(r"(-?\d+)\s+(\d+)/(\d+)")
_ASSIGNMENT = re.compile(r"([A-Za-z])\s*=\s*([^=].*)", re.DOTALL)
_MAY_BE_PYTHON = re.compile(r"(?=.*[*(\[{A-Za-z])[^\\$%^]+", re.DOTALL)


def normalise(answer: str) -> str:
    r"""Return a form in which spellings of one answer are often equal; "" for an empty answer.

    Removed are boxes, text commands, spacing, dollar signs, one full stop at the end, and the
    commas between thousands. Fractions are written as `\frac{a}{b}`, and a word in lower case.

    >>> normalise(r" $\dfrac{1}{2}$. "), normalise(r"\text{East}"), normalise("1,000")
    ('\\frac{1}{2}', 'east', '1000')
    """
    text = _NO_MEANING.sub("", _FRACTION.sub(r"\\frac", _unboxed(answer)))
    text = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", _TEXT.sub(r"\1", text)).removesuffix(".")
    if _THOUSANDS.fullmatch(text):
        return text.replace(",", "")
    return text.lower() if len(text) > 1 and text.isalpha() else text


def readings(answer: str) -> list[str]:
    r"""Return what an answer may mean, as LaTeX texts.

    The first is the answer as it stands, or its usual meaning where it is a number with a unit or a
    mixed number. If the answer may be text that Python printed, its LaTeX follows.

    >>> readings("18 dollars"), readings("1 1/2"), readings("x = 2**10")
    (['18 \\text{ dollars}'], ['1\\frac{1}{2}'], ['x = 2**10', 'x = 2^{10}'])
    """
    text = _unboxed(answer)
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1]
    if match := _NUMBER_AND_UNIT.fullmatch(text):
        return [rf"{match[1]} \text{{ {match[2]}}}"]
    if match := _MIXED_NUMBER.fullmatch(text):
        return [rf"{match[1]}\frac{{{match[2]}}}{{{match[3]}}}"]
    if not _MAY_BE_PYTHON.fullmatch(text):
        return [text]
    match = _ASSIGNMENT.fullmatch(text)
    latex = python_to_latex(match[2] if match else text)
    return [text] if latex is None else [text, f"{match[1]} = {latex}" if match else latex]


def _unboxed(answer: str) -> str:
    text = answer.strip()
    match = _BOX.fullmatch(text.strip("$ "))
    return (match[1] if match else text).strip()
