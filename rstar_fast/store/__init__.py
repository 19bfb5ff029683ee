"""Run folders, which keep every finished tree and every failure of a run on disk."""

from rstar_fast.store.records import record_to_tree, tree_to_record
from rstar_fast.store.run_folder import RunFolder

__all__ = ["RunFolder", "record_to_tree", "tree_to_record"]
