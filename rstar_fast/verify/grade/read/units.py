"""Units behind numbers: which words are one, and how they convert."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rstar_fast.verify.grade.read.tokens import Kind, ReadError, Token
from rstar_fast.verify.grade.read.vocabulary import NOT_UNITS

# Every row: dimension, size in the first unit of the dimension, spellings.
_TABLE = """
length 1 m meter metre
length 1/1000 mm millimeter millimetre
length 1/100 cm centimeter centimetre
length 1/10 dm decimeter decimetre
length 1000 km kilometer kilometre
length 127/5000 in inch inches
length 381/1250 ft foot feet
length 1143/1250 yd yard
length 201168/125 mi mile
mass 1 g gram gramme
mass 1/1000 mg milligram
mass 1000 kg kilogram kilo
mass 1000000 t ton tonne
mass 45359237/100000 lb lbs pound
mass 45359237/1600000 oz ounce
time 1 s sec second
time 60 min minute
time 3600 h hr hrs hour
time 86400 d day
time 604800 wk week
volume 1 l liter litre
volume 1/1000 ml milliliter millilitre
money 1 dollar usd buck
money 1/100 cent
euro 1 euro eur
pounds 1 gbp
yen 1 yen jpy
angle 1 degree deg
speed 1 mph
speed-km 1 kph kmh
frequency 1 rpm
percent 1 percent pct
"""
_TEMPERATURES = (["c"], ["f"], ["celsius"], ["fahrenheit"])
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit.

    Attributes:
        name: One spelling for all of its spellings.
        dimension: What it measures, where it is known. Units of one dimension convert.
        size: Size in the dimension's first unit.
        is_plain: Whether a number without a unit may mean the same. False of "dozen".
    """

    name: str
    dimension: str | None = None
    size: Fraction = Fraction(1)
    is_plain: bool = True


_CURRENCIES = {r"\$": "dollar", "$": "dollar", "pounds": "gbp", "euro": "euro", "yen": "yen"}
_UNITS: dict[str, Unit] = {}
for _row in _TABLE.split("\n"):
    if _row:
        _dimension, _size, *_names = _row.split()
        for _name in _names:
            _UNITS[_name] = Unit(_names[-1], _dimension, Fraction(_size))
PERCENT, DEGREE = _UNITS["percent"], _UNITS["degree"]


def currency(token: Token) -> Unit | None:
    """Return the currency that a sign in front of a number names."""
    return _UNITS[_CURRENCIES[token.text]] if token.text in _CURRENCIES else None


def scale_and_unit(tokens: Sequence[Token]) -> tuple[int, Unit | None]:
    """Read the tokens behind a number as a unit, with words such as "million" in front of it.

    Returns:
        The factor of such words, 1 without any, and the unit if there is one.

    Raises:
        ReadError: They are no unit.
    """
    words, is_text = _words_of(tokens)
    scale = 1
    while words and words[0] in _SCALES:
        scale *= _SCALES[words.pop(0)]
    if not words:
        return scale, None
    if words[0] in ("%", "percent"):
        return scale, PERCENT
    if words == ["circ"] or (singular(words[0]) in ("degree", "deg") and len(words) == 1):
        return scale, DEGREE
    if words[0] in ("circ", "degree", "degrees") and words[1:] in _TEMPERATURES:
        return scale, Unit(f"degree {words[1][0]}")
    is_plain = True
    if len(words) == 1 and words[0] == "dozen":
        is_plain = False
    elif any(singular(word) in NOT_UNITS or word in NOT_UNITS for word in words):
        raise ReadError(f"{' '.join(words)!r} is no unit")
    if len(words) == 1 and len(words[0]) == 1 and not is_text:
        raise ReadError("a letter may be a variable")
    if len(words) == 1 and (known := _UNITS.get(singular(words[0]))):
        return scale, known
    return scale, Unit(_compound(words), is_plain=is_plain)


def unit_of_letter(letter: str) -> Unit:
    """Return the unit that a letter such as "m" stands for."""
    return _UNITS[letter.lower()]


def begins_unit(tokens: Sequence[Token], at: int) -> bool:
    """Return whether a unit begins at a token for certain, though it could be read as variables."""
    token = tokens[at]
    if token.kind is Kind.TEXT or token.text in ("%", r"\%"):
        return True
    if token.key == (Kind.SIGN, "^") or token.text == "circ":
        rest = [token.text for token in tokens[at:] if token.text not in ("{", "}")]
        return rest[rest[0] == "^" :] in (["circ"], ["circ", "C"], ["circ", "F"])
    if token.kind is not Kind.WORD or not token.spaced or token.text.lower() not in _UNITS:
        return False
    after = tokens[at + 1].text if at + 1 < len(tokens) else ""
    return len(token.text) > 1 or after == "/"


def singular(word: str) -> str:
    """Return a noun without the "s" of its plural."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def mentions(question: str, unit: Unit) -> bool:
    """Return whether a question names a unit, in any of its spellings."""
    return any(_UNITS[word].name == unit.name for word in _known_words(question))


def mentions_dimension(question: str, dimension: str) -> bool:
    """Return whether a question names any unit of a dimension."""
    return any(_UNITS[word].dimension == dimension for word in _known_words(question))


def _known_words(question: str) -> list[str]:
    signs = {"%": " percent ", "$": " dollar ", r"\circ": " degree ", "°": " degree "}
    for sign, word in signs.items():
        question = question.replace(sign, word)
    words = [singular(word.lower()) for word in _WORD.findall(question)]
    return [word for word in words if len(word) > 1 and word in _UNITS]


def _words_of(tokens: Sequence[Token]) -> tuple[list[str], bool]:
    r"""Return the words and signs of a unit, and whether all of it stands in `\text`."""
    words: list[str] = []
    is_text = True
    for token in tokens:
        if token.kind is Kind.TEXT:
            words += re.findall(r"[^\W\d_]+|[/^%]|\d+", token.text.lower())
        elif token.kind is Kind.WORD:
            is_text = False
            words.append(token.text.lower())
        elif token.kind is Kind.NUMBER and words and words[-1] == "^":
            words.append(token.text)
        elif token.text in ("^", "circ", "%", r"\%") or (words and token.text in ("/", "*", "-")):
            words.append(token.text.removeprefix("\\"))
        elif token.text not in ("{", "}", "."):
            raise ReadError(f"{token.text!r} in a unit")
    if words[:2] == ["^", "circ"]:
        words.pop(0)
    if not words or words[0] == "^" or words[-1] in ("^", "/", "*", "-"):
        raise ReadError("no unit")
    return words, is_text


def _compound(words: Sequence[str]) -> str:
    """Return one spelling of a unit of several words, such as "square inches" and "in^2"."""
    found: list[str] = []
    power = ""
    for word in words:
        word = singular(word)
        if word in ("square", "sq", "cubic", "cu"):
            power = "^2" if word.startswith("s") else "^3"
            continue
        if word == "per":
            found.append("/")
            continue
        known = _UNITS.get(word)
        found.append((known.name if known else word) + power)
        power = ""
    return " ".join(found).replace(" ^ ", "^") + power
