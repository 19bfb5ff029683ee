"""Run folders, which keep every finished tree and every failure of a run on disk."""

from rstar_fast.store.records import record_to_tree, tree_to_record
from rstar_fast.store.run_folder import RunFolder
from rstar_fast.store.summary import TreeSummary

__all__ = ["RunFolder", "TreeSummary", "record_to_tree", "tree_to_record"]
