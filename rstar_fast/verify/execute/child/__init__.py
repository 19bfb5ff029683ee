"""What runs inside the zygotes and the processes that are cloned from them."""
