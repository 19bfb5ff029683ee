"""The wording of the generated word problems: operations, worlds, phrasings.

A phrasing's place in its tuple is its tier: the later, the less plain. In phrasings `{A}` and `{B}` are people, `{x}` is what is
counted, `{n}`, `{a}` and `{b}` are numbers.
"""

from dataclasses import dataclass

NAMES = ("Tom", "Ana", "Ben", "Mia", "Leo", "Eva", "Sam", "Zoe", "Max", "Ida", "Noah", "Lily", "Omar", "Ruth", "Kai", "Nina")
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
CALENDARS = (
    ("On Monday", "On Tuesday", "On Wednesday", "On Thursday", "On Friday", "On Saturday", "On Sunday"),
    ("In March", "In April", "In May", "In June", "In July", "In August", "In September"),
)

OPERATIONS = {
    "add": ("{v} + {a}", "add {a}"),
    "sub": ("{v} - {a}", "take away {a}"),
    "add_groups": ("{v} + {a} * {b}", "add {a} groups of {b}"),
    "sub_groups": ("{v} - {a} * {b}", "take away {a} groups of {b}"),
    "times": ("{v} * {a}", "{a} times as much"),
    "share": ("{v} // {a}", "one of {a} equal parts"),
    "double": ("{v} * 2", "double it"),
    "half": ("{v} // 2", "keep half"),
    "swap": ("{v} - {a} + {b}", "take away {a} and add {b}"),
    "keep": ("{a}", "only {a} remain"),
    "dozen": ("{v} + {a} * 12", "add {a} dozen"),
}
"""Operation on the running amount `v`: its code, and the comment that describes it."""


@dataclass(frozen=True)
class World:
    """What a story is about: the amount's variable and unit, and the wording of start, events, question and asides."""

    variable: str
    unit: str
    start: tuple[str, ...]
    events: dict[str, tuple[str, ...]]
    ask: tuple[str, ...]
    asides: tuple[str, ...]


THINGS = World(
    variable="{x}",
    unit="{x}",
    start=(
        "{A} has {n} {x}.",
        "{A} starts with {n} {x}.",
        "There are {n} {x} on the shelf of {A}.",
        "A drawer of {A} holds {n} {x}.",
    ),
    events={
        "add": (
            "{A} buys {a} more {x}",
            "{A} finds {a} {x}",
            "{B} brings {A} another {a} {x}",
            "the pile of {A} grows by {a} {x}",
            "{B} owes {A} {a} {x} and hands them over",
        ),
        "sub": (
            "{A} gives {a} {x} to {B}",
            "{A} loses {a} {x}",
            "{a} of the {x} are stolen",
            "{B} borrows {a} {x} from {A}",
            "{A} owes {B} {a} {x} and hands them over",
        ),
        "add_groups": (
            "{A} buys {a} bags of {b} {x} each",
            "{a} friends give {A} {b} {x} each",
            "{A} finds {b} {x} in each of {a} old boxes",
            "{a} parcels come for {A}, every one with {b} {x}",
            "{A} picks up {b} {x} on each of {a} walks",
        ),
        "sub_groups": (
            "{A} gives {b} {x} to each of {a} friends",
            "{A} sells {a} bags of {b} {x} each",
            "{a} children take {b} {x} each from {A}",
            "{A} puts {b} {x} into each of {a} parcels and posts them",
            "{A} drops {b} {x} on each of {a} walks",
        ),
        "times": ("the {x} become {a} times as many", "{A} now has {a} times as many {x}", "the pile grows to {a} times its size"),
        "share": (
            "{A} shares the {x} equally among {a} people and keeps one part",
            "{A} makes {a} equal piles of the {x} and keeps just one",
            "the {x} go to {a} heirs in equal parts, and {A} is one of them",
        ),
        "double": ("the {x} double", "{A} wins as many {x} as there already are", "for every one of the {x} {A} gets one more"),
        "half": ("{A} gives away half of the {x}", "every second one of the {x} gets lost", "{A} and {B} split the {x} evenly"),
        "swap": (
            "{A} trades {a} {x} for {b} other {x}",
            "{A} drops {a} {x} and then finds {b}",
            "{A} gets {b} {x} in return for {a} {x}",
        ),
        "keep": ("{A} loses all but {a} of the {x}", "{A} sells the {x} until {a} are left", "only {a} of the {x} survive"),
        "dozen": ("{A} buys {a} dozen {x}", "{a} boxes with a dozen {x} each come for {A}", "{B} sends {A} {a} times twelve {x}"),
    },
    ask=("How many {x} does {A} have now?", "How many {x} are there now?"),
    asides=(
        "{B} is {n} years old.",
        "The house of {A} has number {n}.",
        "{B} has a dog of {n} pounds.",
        "It is {n} miles to the town.",
    ),
)

MONEY = World(
    variable="cost",
    unit="dollars",
    start=("{A} orders a tent for {n} dollars.", "The bill of {A} begins at {n} dollars.", "{A} owes the shop {n} dollars."),
    events={
        "add": ("{A} orders a lamp for {a} dollars", "the shop asks {a} dollars more", "a fee of {a} dollars comes on top"),
        "sub": ("a coupon takes {a} dollars off", "{B} pays {a} dollars of it", "the shop forgives {A} {a} dollars"),
        "add_groups": (
            "{A} orders {a} chairs at {b} dollars each",
            "{A} adds {a} tickets that cost {b} dollars each",
            "the shop charges {b} dollars for each of {a} repairs",
        ),
        "sub_groups": (
            "{a} friends pay {b} dollars each for {A}",
            "{A} returns {a} chairs worth {b} dollars each",
            "the shop takes off {b} dollars for each of {a} coupons",
        ),
        "times": ("the bill becomes {a} times as high", "{A} orders everything {a} times instead of once"),
        "share": (
            "the bill is split equally among {a} people and {A} pays one part",
            "{a} people with equal parts pay for it, {A} is one",
        ),
        "double": ("the bill doubles", "{A} orders everything a second time"),
        "half": ("the shop takes half off", "{A} and {B} split the bill evenly"),
        "swap": (
            "{A} returns a bag for {a} dollars and orders one for {b} dollars",
            "a fee of {b} dollars replaces one of {a} dollars",
        ),
        "keep": ("the shop lowers the bill to {a} dollars", "after a talk just {a} dollars remain to be paid"),
    },
    ask=("How many dollars does {A} have to pay?", "How high is the bill now?"),
    asides=("The shop is {n} years old.", "{A} has waited {n} minutes.", "The shop is in street number {n}."),
)

WATER = World(
    variable="water",
    unit="liters",
    start=(
        "A tank holds {n} liters of water.",
        "{A} fills a tank with {n} liters of water.",
        "There are {n} liters in the tank of {A}.",
    ),
    events={
        "add": ("rain adds {a} liters", "{A} pours in {a} liters", "the tank gains {a} liters"),
        "sub": ("{a} liters leak out", "the garden uses {a} liters", "the sun dries up {a} liters"),
        "add_groups": (
            "{A} pours in {a} buckets of {b} liters each",
            "{a} people bring {b} liters each",
            "for {a} hours {b} liters an hour flow in",
        ),
        "sub_groups": (
            "{A} takes out {a} cans of {b} liters each",
            "{a} cows drink {b} liters each",
            "for {a} hours {b} liters an hour leak out",
        ),
        "times": ("the water becomes {a} times as much", "a storm makes it {a} times as much"),
        "share": (
            "{A} fills the water into {a} equal tanks and keeps one",
            "the water is spread over {a} equal tanks, and one counts from now on",
        ),
        "double": ("the water doubles", "as much water as is there flows in"),
        "half": ("half of the water leaks out", "{A} and {B} split the water evenly"),
        "swap": ("{A} takes out {a} liters and pours in {b} liters", "{b} liters flow in after {a} liters have leaked out"),
        "keep": ("the water sinks to {a} liters", "all but {a} liters leak out"),
    },
    ask=("How many liters are in the tank now?", "How much water is left?"),
    asides=("The tank is {n} years old.", "{B} lives {n} miles away.", "The tank is {n} feet high."),
)

WORLDS = (THINGS, THINGS, MONEY, WATER)

CLOSINGS = {
    "more": (
        "In the end {B} has {a} more than {A}. How many {x} do they have together?",
        (("other", "{v} + {a}", "In the end {B} has {a} more"), ("total", "{v} + other", "together")),
    ),
    "fold": (
        "In the end {B} has {a} times as many as {A}. How many {x} do they have together?",
        (("other", "{v} * {a}", "In the end {B} has {a} times as many"), ("total", "{v} + other", "together")),
    ),
    "gap": (
        "In the end {B} has {a} times as many as {A}. How many more {x} than {A} does {B} have?",
        (("other", "{v} * {a}", "In the end {B} has {a} times as many"), ("more", "other - {v}", "how many more")),
    ),
    "worth": (
        "In the end {A} sells them all for {a} dollars each. How many dollars does {A} get?",
        (("dollars", "{v} * {a}", "In the end sold for {a} each"),),
    ),
    "need": (
        "In the end {A} wants to have {a}. How many more {x} does {A} need?",
        (("missing", "{a} - {v}", "In the end {a} are wanted"),),
    ),
    "bags": (
        "In the end {A} packs them into bags of {a}. How many bags does {A} fill?",
        (("bags", "{v} // {a}", "In the end pack bags of {a}"),),
    ),
}
"""Questions of THINGS that ask for more than the running amount: the wording, and the steps (variable, code, comment) they take."""
