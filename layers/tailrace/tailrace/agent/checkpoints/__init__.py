"""Where a graph's checkpoints are kept."""
