"""Views of trees and runs for people to read."""

from rstar_fast.terminal_text import clean
from rstar_fast.viewer.run import run_view
from rstar_fast.viewer.tree import problem_view, trajectory_view, tree_view

__all__ = ["clean", "problem_view", "run_view", "trajectory_view", "tree_view"]
