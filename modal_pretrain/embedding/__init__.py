"""A frozen backbone over a whole X: embeddings, in memory, in a file, on workers."""
