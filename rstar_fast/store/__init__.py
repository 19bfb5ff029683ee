"""Run folders: append-only records of finished trees."""

from rstar_fast.store.records import record_to_tree, tree_to_record
from rstar_fast.store.run_folder import RunFolder

__all__ = ["RunFolder", "record_to_tree", "tree_to_record"]
