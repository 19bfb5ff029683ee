"""Layer 1: taking off what an answer is dressed in, and reading it as a value."""

import contextlib
from fractions import Fraction

import pytest

from rstar_fast.verify.grade.read.expressions import Apply, Name, Number
from rstar_fast.verify.grade.read.reader import read
from rstar_fast.verify.grade.read.thousands import without_thousands
from rstar_fast.verify.grade.read.tokens import ReadError, tokens_of
from rstar_fast.verify.grade.read.undress import undress
from rstar_fast.verify.grade.read.values import (
    BaseNumber,
    Bracketed,
    Clock,
    Conditioned,
    Listing,
    Matrix,
    Named,
    Option,
    Region,
    Relation,
    Scalar,
    Words,
)
from rstar_fast.verify.grade.spelling import spelling


@pytest.mark.parametrize(
    "dressed",
    [
        "$5$",
        "$$5$$",
        r"\(5\)",
        r"\[ 5 \]",
        r"\boxed{5}",
        r"\fbox{$5$}.",
        r"\boxed 5",
        "**5**",
        "`$5$`",
        "#### 5",
        ": 5",
        "= 5",
        r"\text{5}",
        r"\displaystyle 5",
        r"\Large 5",
        "5.",
        "5 ,",
        "\u200b5\ufeff",
        "５",
        "\xa05\u202f",
        "'5'",
    ],
)
def test_dressings_of_one_number(dressed: str) -> None:
    assert undress(dressed) == "5"


@pytest.mark.parametrize(
    ("sign", "latex"),
    [
        ("½", r"\frac{1}{2}"),
        ("2√3", r"2\sqrt 3"),
        ("x²", "x^{2}"),
        ("x₁₂", "x_{12}"),
        ("30°", r"30^{\circ}"),
        ("−3", "-3"),
        ("$1,200", r"\$1,200"),
    ],
)
def test_signs_become_latex(sign: str, latex: str) -> None:
    assert undress(sign) == latex


STRANGE = "${}\\()[]'\"*`.,#:=^ \n\t\0\u200b½√"


@pytest.mark.parametrize("char", [*STRANGE, r"\text{", "$1", "1/"])
def test_a_repeated_character_is_taken(char: str) -> None:
    """Whatever it reads as, it ends, and without another exception."""
    text = char * (4096 // len(char))
    spelling(text)
    with contextlib.suppress(ReadError):
        read(text)


def test_spellings_keep_apart_what_differs() -> None:
    answers = ["2x", "2X", "x", "X", "(1,2)", "[1,2]", "-1", "1", "1,2", "12", "1 1/2", "11/2"]
    answers += ["1,234,5", "12345", r"\sqrt{2}", r"\sqrt2x", "2, 3", "23", "1, 234", "1234"]
    assert len({spelling(answer) for answer in answers}) == len(answers)


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("1,000", "1000"),
        ("12,345.5", "12345.5"),
        ("1 000 000", "1000000"),
        ("1,00", "1,00"),
        ("1, 000", "1, 000"),
        ("(1,000)", "(1,000)"),
        ("27,54,108", "27,54,108"),
        ("98,118,122,142", "98,118,122,142"),
        ("3 1/2", "3 1/2"),
    ],
)
def test_thousands(text: str, joined: str) -> None:
    assert without_thousands(text) == joined


def test_glued_commands_are_cut() -> None:
    assert [token.text for token in tokens_of(r"-2\leqx<1")] == ["-", "2", "le", "x", "<", "1"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("0.5", Scalar),
        ("5 cm", Scalar),
        ("x = 5", Named),
        ("f(x) = x", Named),
        ("(x, y) = (1, 2)", Named),
        ("x^2 + y^2 = 4", Relation),
        ("1 < x <= 2", Relation),
        ("(1, 2]", Bracketed),
        ("]1, 2[", Bracketed),
        (r"\{1, 2\}", Bracketed),
        ("set()", Bracketed),
        ("Interval.open(0, 1)", Bracketed),
        ("1, 2 and 3", Listing),
        (r"\pm 3", Listing),
        (r"(0,1)\cup(2,3)", Region),
        ("x < 1 or x > 2", Region),
        (r"\mathbb{R}", Region),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", Matrix),
        ("Matrix([[1, 2], [3, 4]])", Matrix),
        ("4210_{5}", BaseNumber),
        ("10:30 a.m.", Clock),
        ("2:3", Clock),
        ("C. 12", Option),
        ("no solution", Words),
        ("n = 3k for k >= 1", Conditioned),
    ],
)
def test_types(answer: str, kind: type) -> None:
    assert type(read(answer)) is kind


@pytest.mark.parametrize(
    ("answer", "expression"),
    [
        ("0.50", Number(Fraction(1, 2), 2, 2)),
        ("1 1/2", Number(Fraction(3, 2))),
        (r"2\frac58", Number(Fraction(21, 8))),
        (r"\frac12x", Apply("*", (read(r"\frac12").expression, Name("x")))),
        (r"\tan^{-1} x", Apply("arctan", (Name("x"),))),
        ("2**3", read("2^3").expression),
        ("3 x 10^8", read(r"3 \times 10^8").expression),
        (r"\sin 2x", Apply("sin", (read("2x").expression,))),
        ("np.float64(0.5)", Number(Fraction(1, 2), 1, 1)),
    ],
)
def test_expressions(answer: str, expression: object) -> None:
    assert read(answer).expression == expression


@pytest.mark.parametrize(
    "answer",
    ["", "$$", "...", "5-", r"5\cdot", r"\frac{5}", "{5}^", "(5", "2 3", "None", "nan"],
)
def test_what_is_no_answer(answer: str) -> None:
    with pytest.raises(ReadError):
        read(answer)
