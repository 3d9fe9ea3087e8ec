"""Lines of handwriting: sources, the line table, splits, batches."""
