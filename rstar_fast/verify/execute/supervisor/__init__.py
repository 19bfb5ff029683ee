"""The supervisor process: it starts zygotes, has programs cloned from them, and judges how they end."""
