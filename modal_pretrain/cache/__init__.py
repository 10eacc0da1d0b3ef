"""Embeddings that were computed before, found by content, in memory and on disk."""
