"""Worker processes behind futures: the pool in the main process, and the loop in each worker."""
