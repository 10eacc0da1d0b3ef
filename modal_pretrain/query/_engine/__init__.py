"""What the strategies are built on: the pool, its embeddings, selection, clustering."""
