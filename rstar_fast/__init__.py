"""Deep search over a small language model's reasoning, fast: rStar-Math as a library."""
