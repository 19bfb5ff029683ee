"""Problems and their sources: files, Hugging Face data sets, and generators by name."""

from rstar_fast.problems.files import load_problems
from rstar_fast.problems.problem import Problem
from rstar_fast.problems.sources import read_problems, read_sources

__all__ = ["Problem", "load_problems", "read_problems", "read_sources"]
