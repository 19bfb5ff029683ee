"""Words that answers are made of: names of commands, functions, constants and units."""

GREEK = frozenset(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi
    rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi
    Psi Omega ell
    """.split()  # noqa: SIM905
)
"""Commands that are letters."""

FUNCTIONS = frozenset(
    """
    sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan arccot ln log lg exp
    """.split()  # noqa: SIM905
)
"""Functions that need no brackets around their argument."""

TEXT_COMMANDS = frozenset(
    """
    text textnormal textrm textit textbf textsf texttt textsc textup emph mbox hbox mathrm rm
    operatorname
    """.split()  # noqa: SIM905
)
"""Commands whose argument is text."""

ACCENTS = frozenset({"bar", "vec", "hat", "overline", "overrightarrow", "tilde", "widehat"})
"""Commands whose argument is a part of a name."""

COMMANDS = (
    GREEK
    | FUNCTIONS
    | TEXT_COMMANDS
    | ACCENTS
    | frozenset(
        """
        frac sqrt binom dbinom tbinom times cdot div ast star pm mp le leq leqslant ge geq geqslant
        lt gt ne neq in notin cup cap setminus backslash infty circ degree emptyset varnothing
        mathbb land lor wedge vee approx equiv sim ldots cdots dots vdots begin end lfloor rfloor
        lceil rceil vert lvert rvert Vert mid nmid langle rangle lbrace rbrace lbrack rbrack to
        rightarrow forall exists prime sum prod int lim max min gcd lcm bmod mod pmod pounds euro
        yen colon over angle triangle parallel perp hline subset subseteq qquad quad item
        """.split()  # noqa: SIM905
    )
)
"""Commands that are known. An unknown one that begins with a known one is that one and letters."""

SYNONYMS = {
    "leq": "le",
    "leqslant": "le",
    "geq": "ge",
    "geqslant": "ge",
    "neq": "ne",
    "lt": "<",
    "gt": ">",
    "varnothing": "emptyset",
    "varepsilon": "epsilon",
    "varphi": "phi",
    "vartheta": "theta",
    "dbinom": "binom",
    "tbinom": "binom",
    "cdots": "ldots",
    "dots": "ldots",
    "backslash": "setminus",
    "degree": "circ",
    "wedge": "land",
    "vee": "lor",
    "colon": ":",
    "ast": "*",
    "cdot": "*",
    "times": "*",
    "div": "/",
    "lbrace": r"\{",
    "rbrace": r"\}",
    "lbrack": "[",
    "rbrack": "]",
    "langle": "(",
    "rangle": ")",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "mid": "|",
}
"""The one spelling of commands that have several."""

FUNCTION_NAMES = {name: name for name in FUNCTIONS} | {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "acot": "arccot",
    "arcctg": "arccot",
    "tg": "tan",
    "ctg": "cot",
    "cosec": "csc",
    "Abs": "abs",
    "abs": "abs",
    "sqrt": "sqrt",
    "cbrt": "cbrt",
    "root": "root",
    "factorial": "!",
    "floor": "floor",
    "ceil": "ceil",
    "ceiling": "ceil",
    "binomial": "binomial",
    "comb": "binomial",
    "Rational": "/",
    "Fraction": "/",
    "Mod": "mod",
    "gcd": "gcd",
    "lcm": "lcm",
    "max": "max",
    "min": "min",
    "Max": "max",
    "Min": "min",
    "re": "re",
    "im": "im",
    "sign": "sign",
    "pow": "^",
    "Pow": "^",
}
"""Heads of `Apply` by the names that LaTeX, Python and sympy use."""

NAMES = {
    **{name: name for name in GREEK},
    "oo": "inf",
    "inf": "inf",
    "infinity": "inf",
    "Infinity": "inf",
    "infty": "inf",
}
"""Constants and letters by their names."""

WRAPPERS = frozenset(
    {"Integer", "Float", "float", "int", "Decimal", "N", "float64", "int64", "mpf"}
)
"""Calls of Python that show a number."""
MODULES = frozenset({"np", "numpy", "math", "sympy", "sp", "cmath", "mpmath"})
"""Modules that may stand in front of a name."""

NOT_UNITS = frozenset(
    """
    hundred thousand million billion trillion score gross pair pairs half halves third thirds
    quarter quarters double twice triple squared cubed times plus minus over divided by to the power
    factorial mod modulo percent percents pi sqrt root log ln sin cos tan exp infinity infty inf or
    and but not more less than least most about approximately around between except if else from e i
    x y n of all any each none no nan undefined error
    """.split()  # noqa: SIM905
)
"""Words behind a number that change its value, so that they are no unit."""
