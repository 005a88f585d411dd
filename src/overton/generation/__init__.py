"""Generation: answers of a run's policies, and of any other systems, to questions."""
