"""Tree search over steps: the ask/tell `Search`, and `Searcher`, the package's own driver of it."""

from rstar_fast.search.search import Search
from rstar_fast.search.searcher import Searcher
from rstar_fast.search.work import GradeRequest, Request, Result, RunRequest, Work

__all__ = ["GradeRequest", "Request", "Result", "RunRequest", "Search", "Searcher", "Work"]
