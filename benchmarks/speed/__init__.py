"""Parts of the benchmark of the reward's speed."""
