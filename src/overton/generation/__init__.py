"""Generation: answers of a policy to situations."""
