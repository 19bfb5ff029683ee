"""The operations on an amount in a generated problem, and their wordings.

Every operation has six wordings, from tier 0 (plain) to tier 5 (idiomatic), and one more that no
training problem uses. Neighbouring tiers share words, so that a reader who knows one tier can guess
some of the next. In the texts `{A}` and `{B}` are people, `{x}` is the thing that is counted, `{a}`
and `{b}` are numbers, and `n` is the running amount.
"""

from collections.abc import Iterable
from dataclasses import dataclass

NUM_TIERS = 6


@dataclass(frozen=True)
class Operation:
    """A way to change the amount.

    Attributes:
        name: Name of the operation.
        code: Python expression of the new amount, over n, {a} and {b}.
        wordings: Wordings by tier.
        unseen: Wording for held-out problems only.
        ranges: Lowest and highest value of {a}, and of {b}. One entry, or none, where the operation
            has fewer numbers.
        takes: Whether {a} of the things that are there are taken, so that {a} must be less than the
            amount.
    """

    name: str
    code: str
    wordings: tuple[str, ...]
    unseen: str
    ranges: tuple[tuple[int, int], ...] = ()
    takes: bool = False

    @property
    def order_matters(self) -> bool:
        """Whether the operation has two numbers that cannot be exchanged."""
        return len(self.ranges) == 2 and self.takes and "+" in self.code


_ANY = (2, 40)
_FEW = (3, 9)
_PACK = (2, 12)

OPERATIONS = (
    Operation(
        "add",
        "n + {a}",
        (
            "{A} gains {a} {x}",
            "{A} gains {a} extra {x}",
            "{a} extra {x} come to {A}",
            "{a} {x} come home with {A}",
            "{A} brings home {a} {x}",
            "{A} is {a} {x} to the good",
        ),
        "{B} leaves {a} extra {x} with {A}",
        (_ANY,),
    ),
    Operation(
        "take away",
        "n - {a}",
        (
            "{A} loses {a} {x}",
            "{A} loses {a} {x} for ever",
            "{a} {x} are gone for ever",
            "{a} {x} are gone with the wind",
            "the wind takes {a} of them",
            "{A} throws {a} {x} to the winds",
        ),
        "{a} of the {x} are gone by night",
        (_ANY,),
        takes=True,
    ),
    Operation(
        "add groups",
        "n + {a} * {b}",
        (
            "{A} gains {a} bags of {b} {x}",
            "{A} gets {a} full bags of {b} {x}",
            "{A} gets {a} full boxes of {b} {x}",
            "{a} boxes with {b} {x} each arrive",
            "{a} friends arrive with {b} {x} each",
            "{a} friends chip in {b} {x} apiece",
        ),
        "{a} full shelves of {b} {x} arrive",
        (_FEW, _PACK),
    ),
    Operation(
        "take away groups",
        "n - {a} * {b}",
        (
            "{A} loses {a} bags of {b} {x}",
            "{A} loses {b} {x} in {a} games each",
            "{A} pays {b} {x} in {a} games each",
            "{A} pays {a} guests {b} {x} each",
            "{a} guests help themselves to {b} {x} apiece",
            "{a} mouths to feed cost {b} {x} apiece",
        ),
        "{A} pays {b} {x} in {a} towns",
        (_FEW, _PACK),
    ),
    Operation(
        "multiply",
        "n * {a}",
        (
            "the {x} become {a} times as many",
            "{A} gets {a} times the {x}",
            "the pile gets {a} times as big",
            "the pile grows by a factor of {a}",
            "a factor of {a} blows up the heap",
            "the heap blows up {a} fold",
        ),
        "the pile is multiplied by {a}",
        (_FEW,),
    ),
    Operation(
        "share",
        "n // {a}",
        (
            "{A} shares the {x} among {a}",
            "{a} people share them among each other",
            "{a} people cut the pile evenly",
            "{a} hands cut the cake evenly",
            "{A} eats one of {a} slices of the cake",
            "{A} ends up with one slice in {a}",
        ),
        "{a} people take equal slices",
        (_FEW,),
    ),
    Operation(
        "take away dozens",
        "n - {a} * 12",
        (
            "{A} loses {a} dozen {x}",
            "{A} loses {a} dozen to the rain",
            "{a} trays of a dozen rot in the rain",
            "{a} trays of twelve {x} rot",
            "twelve {x} go to waste {a} times over",
            "{a} juries of {x} walk out",
        ),
        "{a} trays of twelve go to waste",
        (_FEW,),
    ),
    Operation(
        "add dozens",
        "n + {a} * 12",
        (
            "{A} gains {a} dozen {x}",
            "{a} dozen {x} come along",
            "{a} cartons of a dozen come along",
            "{a} cartons of twelve land here",
            "twelve {x} land here {a} times over",
            "{a} clocks strike twelve {x} each",
        ),
        "{A} finds {a} cartons of twelve {x}",
        (_FEW,),
    ),
    Operation(
        "double",
        "n * 2",
        (
            "{A} doubles the {x}",
            "{A} doubles them overnight",
            "overnight there are twice as many",
            "{A} sees twice the {x}",
            "each of the {x} sees a twin",
            "every one grows a twin brother",
        ),
        "there are twice the {x} by night",
    ),
    Operation(
        "triple",
        "n * 3",
        (
            "{A} triples the {x}",
            "{A} triples the stock by noon",
            "by noon the stock is threefold",
            "a threefold harvest of {x}",
            "the harvest puts two on top of each",
            "on top of each sit two newcomers",
        ),
        "the {x} yield a threefold stock",
    ),
    Operation(
        "halve",
        "n // 2",
        (
            "{A} halves the {x}",
            "{A} halves them with {B}",
            "{A} splits them with {B}",
            "{A} splits the {x} fifty fifty",
            "{A} and {B} go fifty fifty",
            "{A} and {B} meet in the middle",
        ),
        "{A} splits the {x} in the middle",
    ),
    Operation(
        "quarter",
        "n // 4",
        (
            "{A} quarters the {x}",
            "{A} quarters the {x} like a pie",
            "{A} takes one corner of the pie",
            "just one corner of the square holds",
            "three of the four corners crumble",
            "three walls of the house crumble",
        ),
        "one of the four walls holds",
    ),
    Operation(
        "exchange",
        "n - {a} + {b}",
        (
            "{A} swaps {a} {x} for {b} {x}",
            "{A} swaps {a} old {x} for {b} new",
            "{a} old {x} make way for {b} new",
            "{a} {x} make way in a deal for {b}",
            "{A} strikes a deal of {a} against {b}",
            "{b} {x} are in and {a} are out",
        ),
        "{a} old {x} go against {b} new",
        (_ANY, _ANY),
        takes=True,
    ),
    Operation(
        "add twice",
        "n + {a} + {b}",
        (
            "{A} gains {a} {x} and then {b}",
            "{a} {x} and then {b} more drop in",
            "first {a} and later {b} more drop in",
            "{a} {x} and later {b} drop by",
            "two visits bring {a} {x} and {b}",
            "luck visits {A} with {a} and {b}",
        ),
        "first {a} {x} arrive and later {b}",
        (_ANY, _ANY),
    ),
    Operation(
        "take away twice",
        "n - {a} - {b}",
        (
            "{A} loses {a} {x} and then {b}",
            "{a} {x} and then {b} slip away",
            "{a} {x} slip off and {b} roll away",
            "{a} {x} roll off and {b} drown",
            "the flood drowns {a} {x} and {b}",
            "the flood carries {a} {x} and {b}",
        ),
        "{a} {x} slip away and {b} drown",
        (_ANY, _ANY),
        takes=True,
    ),
)

NAMES = (
    "Tom",
    "Ana",
    "Ben",
    "Mia",
    "Leo",
    "Eva",
    "Sam",
    "Zoe",
    "Max",
    "Ida",
    "Noah",
    "Lily",
    "Omar",
    "Ruth",
    "Kai",
    "Nina",
)
ITEMS = (
    "plums",
    "coins",
    "cards",
    "books",
    "shells",
    "stamps",
    "apples",
    "pens",
    "eggs",
    "beads",
    "stones",
    "cups",
    "roses",
    "nuts",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
START = "{A} has {n} {x}."
LAST_DIGIT = "{A} now has a number that ends in {n}."
"""Sentence before the question in some problems, by which an answer can be checked."""
ASK = "How many now?"


def words_of(wordings: Iterable[str]) -> tuple[str, ...]:
    """Return the words of wordings, each once, sorted. Slots such as `{a}` are left out."""
    return tuple(
        sorted(
            {word for wording in wordings for word in wording.split() if not word.startswith("{")}
        )
    )
