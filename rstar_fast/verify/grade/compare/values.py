"""Whether two values of any type are equal."""

from collections.abc import Sequence
from functools import partial

from rstar_fast.verify.grade.compare.clocks import (
    compare_clock_and_scalar,
    compare_clocks,
    same_digits,
)
from rstar_fast.verify.grade.compare.equations import as_relation, is_curve, same_relation
from rstar_fast.verify.grade.compare.matching import Verdict, all_of, distinct, ordered, unordered
from rstar_fast.verify.grade.compare.regions import compare_regions
from rstar_fast.verify.grade.compare.scalars import compare_scalars, is_constant
from rstar_fast.verify.grade.read.calls import as_matrix
from rstar_fast.verify.grade.read.expression_reader import LONGEST_PRODUCT
from rstar_fast.verify.grade.read.expressions import Apply, Name, renamed
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
    Value,
    Words,
)


def compare(gold: Value, answer: Value, question: str = "") -> Verdict:
    """Compare an answer with an accepted one.

    Args:
        gold: The accepted answer.
        answer: The answer.
        question: Text of the problem, which tells the units that are meant.
    """
    match gold, answer:
        case Scalar(), Scalar():
            return compare_scalars(gold, answer, question)
        case (Words(), _) | (_, Words()):
            return _words(gold, answer, question)
        case Conditioned(), _:
            same = compare(gold.value, getattr(answer, "value", answer), question)
            is_other = isinstance(answer, Conditioned) and gold.condition != answer.condition
            return None if same and is_other else same
        case _, Conditioned(value):
            same = compare(gold, value, question)
            return None if same and isinstance(gold, Scalar) and is_constant(gold) else same
        case Named() | Relation(), Named() | Relation():
            return _relations(gold, answer, question)
        case Named(_, value), _:
            return compare(value, answer, question)
        case Region(), Named(Name()):
            return None
        case _, Named(_, value):
            return compare(gold, value, question)
        case Scalar(), Relation(sides, signs):
            is_chain = set(signs) == {"="}
            return is_chain and all_of([compare(gold, Scalar(one), question) for one in sides])
    return _special(gold, answer) if _is_special(gold, answer) else _many(gold, answer, question)


def _words(gold: Value, answer: Value, question: str) -> Verdict:
    """Compare with a word, which may be a product of variables. Other values are not decided."""
    match gold, answer:
        case Words(), Words():
            return gold.text == answer.text
        case (Words(_, letters), Scalar(_, None)) if len(letters) <= LONGEST_PRODUCT:
            return compare(_product(letters), answer, question)
        case (Scalar(_, None), Words(_, letters)) if len(letters) <= LONGEST_PRODUCT:
            return compare(gold, _product(letters), question)
    return None


def _product(letters: str) -> Scalar:
    return Scalar(Apply("*", tuple(map(Name, letters))))


def _relations(gold: Named | Relation, answer: Named | Relation, question: str) -> Verdict:
    same: Verdict = False
    if isinstance(gold, Named) and isinstance(answer, Named):
        same = _named(gold, answer, question)
        if same or not (is_curve(gold) and is_curve(answer)):
            return same
    sides = as_relation(gold), as_relation(answer)
    if sides[0] is not None and sides[1] is not None:
        related = same_relation(sides[0], sides[1])
        if related is not None or "=" in sides[0].signs + sides[1].signs:
            return related
    return compare_regions(gold, answer)


def _named(gold: Named, answer: Named, question: str) -> Verdict:
    value = answer.value
    if gold.name == answer.name:
        return compare(gold.value, value, question)
    match gold.name, answer.name:
        case Apply(_, (function, Name() as variable)), Apply(_, (other, Name() as other_variable)):
            if function == other and isinstance(value, Scalar):
                same_variable = renamed(value.expression, other_variable, variable)
                return compare(gold.value, Scalar(same_variable), question)
    return None if compare(gold.value, value, question) else False


def _is_special(gold: Value, answer: Value) -> bool:
    return any(isinstance(value, Clock | BaseNumber | Option) for value in (gold, answer))


def _special(gold: Value, answer: Value) -> Verdict:
    match gold, answer:
        case Clock(), Clock():
            return compare_clocks(gold, answer)
        case Clock(), Scalar():
            return compare_clock_and_scalar(gold, answer, scalar_is_gold=False)
        case Scalar(), Clock():
            return compare_clock_and_scalar(answer, gold, scalar_is_gold=True)
        case (BaseNumber(), BaseNumber()) | (Option(), Option()):
            return gold == answer
        case (BaseNumber() as number, Scalar() as scalar) | (
            Scalar() as scalar,
            BaseNumber() as number,
        ):
            return same_digits(scalar, number)
        case (Scalar(Name(letter), None), Option(other)) | (
            Option(other),
            Scalar(Name(letter), None),
        ):
            return letter == other
    return False


def _many(gold: Value, answer: Value, question: str) -> Verdict:
    """Compare values of which at least one holds several."""
    equal = partial(compare, question=question)
    match gold, answer:
        case Matrix((row,)), Bracketed(_, _, items) if all(isinstance(i, Scalar) for i in items):
            # A row may be written as a list, which is otherwise read as a column.
            return ordered(row, items, equal)
        case Matrix(), _:
            return _matrices(gold, as_matrix(answer), question)
        case _, Matrix():
            return _matrices(as_matrix(gold), answer, question)
        case Listing(items), Listing(other):
            return unordered(items, other, equal)
        case Bracketed(), Bracketed():
            return _brackets(gold, answer, question)
        case Listing(items), Bracketed(_, _, other):
            same = unordered(items, other, equal)
            if answer.is_set or answer.is_list or not same:
                return same
            return ordered(items, other, equal) or None
        case Bracketed(_, _, items), Listing(other):
            if gold.is_set:
                return unordered(items, other, equal)
            return ordered(items, _without_names(other), equal)
        case (Bracketed(_, _, (only,)), Scalar()) if gold.is_set:
            return compare(only, answer, question)
        case Scalar(), Bracketed(_, _, (only,)):
            return compare(gold, only, question)
        case Scalar(), Listing(items):
            # Several answers are offered for one, unless they are one.
            verdicts = [equal(gold, item) for item in items]
            return all_of(verdicts) or (False if set(verdicts) == {False} else None)
    return compare_regions(gold, answer)


def _without_names(items: Sequence[Value]) -> list[Value]:
    return [item.value if isinstance(item, Named) else item for item in items]


def _brackets(gold: Bracketed, answer: Bracketed, question: str) -> Verdict:
    equal = partial(compare, question=question)
    if gold.is_set and answer.is_set:
        return unordered(distinct(gold.items, equal), distinct(answer.items, equal), equal)
    if gold.is_set and answer.is_list:
        return unordered(gold.items, answer.items, equal)
    if (gold.opening, gold.closing) == (answer.opening, answer.closing):
        return ordered(gold.items, answer.items, equal)
    # At an infinite end, "[" and "(" mean the same.
    return compare_regions(gold, answer) if gold.is_endless and answer.is_endless else False


def _matrices(gold: Matrix | None, answer: Matrix | None, question: str) -> Verdict:
    if gold is None or answer is None:
        return False
    equal = partial(compare, question=question)
    if len(gold.rows) != len(answer.rows):
        return False
    return all_of([ordered(*rows, equal) for rows in zip(gold.rows, answer.rows, strict=True)])
