"""LaTeX for answers as Python or sympy prints them. Nothing is evaluated.

Runs in math-verify workers.
"""

import ast

_NAMES = {"pi": r"\pi", "oo": r"\infty", "I": "i", "E": "e"} | {
    name: f"\\{name}"
    for name in ("alpha", "beta", "gamma", "delta", "theta", "lambda", "mu", "phi", "omega")
}
_FUNCTIONS = {
    "sqrt": r"\sqrt{{{}}}",
    "cbrt": r"\sqrt[3]{{{}}}",
    "exp": r"e^{{{}}}",
    "log": r"\ln({})",
    "ln": r"\ln({})",
    "sin": r"\sin({})",
    "cos": r"\cos({})",
    "tan": r"\tan({})",
    "asin": r"\arcsin({})",
    "acos": r"\arccos({})",
    "atan": r"\arctan({})",
    "Abs": r"|{}|",
    "abs": r"|{}|",
    "factorial": r"({})!",
    "Rational": r"\frac{{{}}}{{{}}}",
    "Fraction": r"\frac{{{}}}{{{}}}",
}


def python_to_latex(text: str) -> str | None:
    r"""Return LaTeX for an arithmetic expression in Python, or None for any other text.

    Tuples, lists and sets of expressions are taken too. A list is read as the set of its elements,
    because `sympy.solve` returns solutions as a list.

    >>> python_to_latex("sqrt(2 + sqrt(3))/2 + 3*x")
    '\\frac{\\sqrt{2 + \\sqrt{3}}}{2} + 3 \\cdot x'
    >>> python_to_latex("[1, Rational(1, 2)]"), python_to_latex("hello")
    ('1, \\frac{1}{2}', None)
    """
    try:
        return _latex(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _latex(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _number(value)
        case ast.Name(id=name) if name in _NAMES or len(name) == 1:
            return _NAMES.get(name, name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"-{_factor(operand)}"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{_latex(left)} + {_latex(right)}"
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return f"{_latex(left)} - {_factor(right)}"
        case ast.BinOp(left=ast.Constant(value=int(value)), op=ast.Mult(), right=ast.Name(id="I")):
            # math-verify takes "4 \\cdot i" and "4i" for different things.
            return f"{value}i"
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return rf"{_factor(left)} \cdot {_factor(right)}"
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return rf"\frac{{{_latex(left)}}}{{{_latex(right)}}}"
        case ast.BinOp(left=ast.Constant() | ast.Name() as base, op=ast.Pow(), right=right):
            return f"{_latex(base)}^{{{_latex(right)}}}"
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"({_latex(left)})^{{{_latex(right)}}}"
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _call(_FUNCTIONS[name], arguments)
        case ast.Tuple(elts=elements) if elements:
            return f"({', '.join(map(_latex, elements))})"
        case ast.List(elts=elements) | ast.Set(elts=elements) if elements:
            return ", ".join(map(_latex, elements))
    raise ValueError(f"expected arithmetic, got {type(node).__name__}")


def _factor(node: ast.expr) -> str:
    is_sum = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)
    return f"({_latex(node)})" if is_sum or isinstance(node, ast.UnaryOp) else _latex(node)


def _call(form: str, arguments: list[ast.expr]) -> str:
    if len(arguments) != form.count("{}"):
        raise ValueError(f"expected {form.count('{}')} arguments, got {len(arguments)}")
    return form.format(*map(_latex, arguments))


def _number(value: int | float) -> str:
    digits, _, exponent = str(value).partition("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if exponent else digits
