"""The source of countdown puzzles, whose answers are any expressions that reach the target."""

from rstar_fast.embedded.source import read_generated
from rstar_fast.problems.sources import Source
from rstar_fast.verify.grade.expression import ExpressionVerifier

SOURCE = Source(read_generated, ExpressionVerifier)
"""Source that the entry point `countdown` names."""
