"""Reading tokens as an expression.

The reader takes LaTeX, Python (sympy's print included) and plain notation. It reads all tokens or
none. What it cannot read is a `ReadError`, never a part of the answer.
"""

from collections.abc import Sequence
from fractions import Fraction

from rstar_fast.verify.grade.read.cursor import Cursor
from rstar_fast.verify.grade.read.expressions import Apply, Expression, Name, Number, number_of
from rstar_fast.verify.grade.read.splitting import split
from rstar_fast.verify.grade.read.tokens import Kind, ReadError, Token
from rstar_fast.verify.grade.read.vocabulary import (
    ACCENTS,
    FUNCTION_NAMES,
    FUNCTIONS,
    MODULES,
    NAMES,
    WRAPPERS,
)

MAX_DEPTH = 60
"""Deepest nesting of an expression that is read."""
LONGEST_PRODUCT = 3
"""Most letters in a row that are read as a product of variables."""

_INVERSES = {"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot"}
_CLOSED_BY = {"(": ")", "[": "]", "lfloor": "rfloor", "lceil": "rceil"}
_PERIODS = ((Kind.COMMAND, "overline"), (Kind.COMMAND, "bar"))
_ARITIES = {"log": (1, 2), "/": (1, 2), "root": (2,), "binomial": (2,), "mod": (2,), "^": (2,)}
_OF_ANY_NUMBER = frozenset({"gcd", "lcm", "max", "min"})


def read_expression(tokens: Sequence[Token]) -> Expression:
    r"""Read all tokens as one expression.

    Raises:
        ReadError: They are none.
    """
    reader = _Reader(tuple(tokens))
    expression = reader.sum()
    reader.expect_end()
    return expression


class _Reader(Cursor):
    """A recursive descent over tokens."""

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        over = split(tokens, "over")
        if len(over) == 2:
            tokens = (Token(Kind.COMMAND, "frac"), *_braced(over[0]), *_braced(over[1]))
        super().__init__(tuple(piece for token in tokens for piece in _letters(token)))
        self._depth = 0
        self._bars = 0

    def sum(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ReadError("nested too deeply")
        terms = [self._signed_term()]
        while self._sign() in ("+", "-"):
            terms.append(self._signed_term())
        self._depth -= 1
        return terms[0] if len(terms) == 1 else Apply("+", tuple(terms))

    def _signed_term(self) -> Expression:
        negative = False
        while self._sign() in ("+", "-"):
            negative ^= self._next().text == "-"
        term = self._term()
        return Apply("neg", (term,)) if negative else term

    def _term(self) -> Expression:
        value = self._factor()
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if self._sign() in ("*", "/") or self._is_times(token):
                head = "/" if token.text == "/" else "*"
                self._at += 1
                value = Apply(head, (value, self._signed_factor()))
            elif token.key == (Kind.COMMAND, "bmod"):
                self._at += 1
                value = Apply("mod", (value, self._factor()))
            elif self._begins_factor(token):
                if token.kind is Kind.NUMBER:
                    mixed = self._mixed_number(value)
                    if mixed is None and not self._may_follow():
                        raise ReadError("two numbers without an operation")
                    value = mixed or Apply("*", (value, self._factor()))
                else:
                    value = self._mixed_fraction(value) or Apply("*", (value, self._factor()))
            else:
                break
        return value

    def _is_times(self, token: Token) -> bool:
        """Return whether an "x" stands, spaced, between two numbers."""
        after = self._peek(1)
        return (
            token.key == (Kind.WORD, "x")
            and token.spaced
            and after is not None
            and after.spaced
            and after.kind is Kind.NUMBER
            and self._before().kind is Kind.NUMBER
        )

    def _may_follow(self) -> bool:
        """Return whether a number may follow as a factor: only behind a power or a name."""
        before, after = self._before(), self._peek(1)
        powers = after is not None and after.text == "^"
        if before.kind is Kind.NUMBER:
            return powers and self._at >= 2 and self._tokens[self._at - 2].text == "^"
        return before.text != "}" or powers

    def _mixed_number(self, whole: Expression) -> Expression | None:
        """Read the rest of a number such as "1 1/2"."""
        tokens = self._tokens[self._at : self._at + 3]
        if not (
            len(tokens) == 3
            and tokens[0].spaced
            and tokens[1].key == (Kind.SIGN, "/")
            and tokens[0].text.isdecimal()
            and tokens[2].text.isdecimal()
            and self._before().kind is Kind.NUMBER
        ):
            return None
        mixed = _mixed(whole, tokens[0].text, tokens[2].text)
        if mixed is not None:
            self._at += 3
        return mixed

    def _mixed_fraction(self, whole: Expression) -> Expression | None:
        r"""Read the rest of a number such as `1\frac{1}{2}`."""
        if (
            self._tokens[self._at].key != (Kind.COMMAND, "frac")
            or self._before().kind is not Kind.NUMBER
            or not isinstance(whole, Number)
        ):
            return None
        begin = self._at
        match self._factor():
            case Apply("/", (Number(above, None), Number(below, None))):
                mixed = _mixed(whole, str(above), str(below))
                if mixed is not None:
                    return mixed
        self._at = begin
        return None

    def _signed_factor(self) -> Expression:
        if self._sign() in ("+", "-"):
            negative = self._next().text == "-"
            factor = self._signed_factor()
            return Apply("neg", (factor,)) if negative else factor
        return self._factor()

    def _factor(self) -> Expression:
        value = self._atom()
        while (sign := self._sign()) in ("!", "^", "'"):
            self._at += 1
            if sign == "!":
                value = Apply("!", (value,))
            elif sign == "'":
                value = _primed(value, 1)
            else:
                value = self._raised(value)
        return value

    def _raised(self, base: Expression) -> Expression:
        begin = self._at
        raw = [token.text for token in self._raw_argument() if token.text not in ("{", "}")]
        if raw == ["circ"]:
            return Apply("degrees", (base,))
        if raw and set(raw) <= {"prime", "'", "*"}:
            return _primed(base, len(raw))
        self._at = begin
        return Apply("^", (base, self._exponent()))

    def _exponent(self) -> Expression:
        if self._sign() in ("+", "-"):
            negative = self._next().text == "-"
            exponent = self._exponent()
            return Apply("neg", (exponent,)) if negative else exponent
        value = self._atom()
        while self._skip("!"):
            value = Apply("!", (value,))
        if self._skip("^"):
            return Apply("^", (value, self._exponent()))
        return value

    def _atom(self) -> Expression:
        token = self._next()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ReadError("nested too deeply")
        try:
            if token.kind is Kind.NUMBER:
                return self._number(token.text)
            if token.kind is Kind.WORD:
                return self._word(token)
            if token.kind is Kind.COMMAND:
                return self._command(token)
            if token.kind is Kind.SIGN and token.text in ("(", "[", "{"):
                return self._inside(token.text)
            if token.key == (Kind.SIGN, "|") and self._bars < 3:
                return self._between_bars()
            raise ReadError(f"unexpected {token.text!r}")
        finally:
            self._depth -= 1

    def _number(self, text: str) -> Expression:
        r"""Read a number, maybe with the period of `0.1\overline{6}` behind it."""
        after = self._peek()
        if after is None or after.key not in _PERIODS or "." not in text:
            return number_of(text)
        self._at += 1
        period = _flat(self._raw_argument())
        if not period.isdecimal():
            raise ReadError("a period that is no digits")
        repeated = Fraction(int(period), 10 ** len(period) - 1)
        decimals = len(text.partition(".")[2])
        return Number(number_of(text).value + repeated / 10**decimals)

    def _inside(self, opening: str) -> Expression:
        outer, self._bars = self._bars, 0
        if opening == "{":
            inner = _Reader(self._group())
            inner._depth = self._depth
            value = inner.sum()
            inner.expect_end()
        else:
            value = self.sum()
            self._close(_CLOSED_BY[opening])
        self._bars = outer
        return value

    def _between_bars(self) -> Expression:
        self._bars += 1
        value = self.sum()
        self._close("|")
        self._bars -= 1
        return Apply("abs", (value,))

    def _command(self, token: Token) -> Expression:
        name = token.text
        if name == "frac":
            return Apply("/", (self._argument(), self._argument()))
        if name == "binom":
            return Apply("binomial", (self._argument(), self._argument()))
        if name == "sqrt":
            if self._skip("["):
                index = self.sum()
                self._close("]")
                return Apply("root", (self._argument(whole=True), index))
            return Apply("sqrt", (self._argument(whole=True),))
        if name in ("lfloor", "lceil"):
            value = self.sum()
            self._close(_CLOSED_BY[name])
            return Apply("floor" if name == "lfloor" else "ceil", (value,))
        if name in ACCENTS:
            return self._subscripted(f"{name} {_flat(self._raw_argument())}")
        if name in FUNCTION_NAMES:
            return self._function(FUNCTION_NAMES[name])
        if name in NAMES:
            return self._subscripted(NAMES[name])
        raise ReadError(f"unexpected command {name!r}")

    def _word(self, token: Token) -> Expression:
        word = token.text
        after = self._peek()
        called = after is not None and after.key == (Kind.SIGN, "(") and not after.spaced
        if word in MODULES and self._skip("."):
            return self._word(self._next())
        if word in WRAPPERS and self._skip("("):
            value = self._shown_number()
            self._close(")")
            return value
        if (
            len(word) > 1
            and word in FUNCTION_NAMES
            and (called or word in FUNCTIONS or word == "sqrt")
        ):
            return self._function(FUNCTION_NAMES[word])
        if len(word) == 1 or word in NAMES:
            return self._subscripted(NAMES.get(word, word))
        raise ReadError(f"unexpected word {word!r}")

    def _shown_number(self) -> Expression:
        """Read the arguments of `Decimal`, `Float` and the like: a number, maybe a precision."""
        value = self.sum()
        if self._skip(","):
            self.sum()
        return value

    def _subscripted(self, name: str) -> Expression:
        if self._skip("_"):
            name = f"{name}_{_flat(self._raw_argument())}"
        return Name(name)

    def _function(self, name: str) -> Expression:
        exponent = base = None
        while self._sign() in ("^", "_"):
            if self._next().text == "^":
                exponent = self._exponent()
            else:
                base = self._argument(whole=True)
        match exponent:
            case Apply("neg", (Number(size),)) if size == 1 and name in _INVERSES:
                name, exponent = _INVERSES[name], None
        operands = self._operands()
        if base is not None:
            if name != "log":
                raise ReadError(f"{name} with a subscript")
            operands = (*operands, base)
        value = _applied(name, operands)
        return value if exponent is None else Apply("^", (value, exponent))

    def _operands(self) -> tuple[Expression, ...]:
        after = self._peek()
        if after is None:
            raise ReadError("a function of nothing")
        if self._skip("("):
            found = [self.sum()]
            while self._skip(","):
                found.append(self.sum())
            self._close(")")
            return tuple(found)
        value = self._signed_factor()
        while (token := self._peek()) is not None and (
            (self._begins_factor(token) and not self._is_function(token))
            or (token.text == "/" and not token.spaced)
        ):
            head = "/" if self._skip("/") else "*"
            value = Apply(head, (value, self._factor()))
        return (value,)

    def _argument(self, whole: bool = False) -> Expression:
        """Read an argument of a command: a group, or one digit, letter or command."""
        token = self._peek()
        if token is None:
            raise ReadError("an argument is missing")
        if token.kind is Kind.NUMBER and not whole and len(token.text) > 1:
            if not token.text.isdecimal():
                raise ReadError(f"unexpected {token.text!r}")
            self._cut_next(1)
        return self._atom()

    def _begins_factor(self, token: Token) -> bool:
        if token.kind is Kind.SIGN:
            return token.text in ("(", "[", "{") or (token.text == "|" and not self._bars)
        if token.kind is Kind.COMMAND:
            return (
                token.text in ("frac", "binom", "sqrt", "lfloor", "lceil")
                or token.text in ACCENTS
                or token.text in NAMES
                or token.text in FUNCTION_NAMES
            )
        return token.kind in (Kind.WORD, Kind.NUMBER)

    def _is_function(self, token: Token) -> bool:
        is_name = token.kind in (Kind.COMMAND, Kind.WORD)
        return is_name and token.text in FUNCTIONS


def _letters(token: Token) -> tuple[Token, ...]:
    """Return a token, or the letters of a short word that is no name of anything."""
    word = token.text
    if (
        token.kind is not Kind.WORD
        or not 1 < len(word) <= LONGEST_PRODUCT
        or word in FUNCTION_NAMES
        or word in NAMES
        or word in MODULES
        or word in WRAPPERS
    ):
        return (token,)
    return (
        Token(Kind.WORD, word[0], token.spaced),
        *(Token(Kind.WORD, letter) for letter in word[1:]),
    )


def _applied(name: str, operands: tuple[Expression, ...]) -> Expression:
    if name not in _OF_ANY_NUMBER and len(operands) not in _ARITIES.get(name, (1,)):
        raise ReadError(f"{name} of {len(operands)} operands")
    return operands[0] if name == "/" and len(operands) == 1 else Apply(name, operands)


def _mixed(whole: Expression, above: str, below: str) -> Number | None:
    if not isinstance(whole, Number) or whole.decimals is not None or not below.isdecimal():
        return None
    if not above.isdecimal() or not 0 < int(above) < int(below):
        return None
    return Number(whole.value + Fraction(int(above), int(below)))


def _primed(value: Expression, count: int) -> Expression:
    if not isinstance(value, Name):
        raise ReadError("a prime behind no name")
    return Name(value.text + "'" * count)


def _flat(tokens: Sequence[Token]) -> str:
    return "".join(token.text for token in tokens if token.text not in ("{", "}"))


def _braced(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    return (Token(Kind.SIGN, "{"), *tokens, Token(Kind.SIGN, "}"))
