"""Graded word problems, and the base model from which rounds of self-evolution begin."""
