"""Parts of `benchmarks/reward_hacking.py`: honest answers, attacks on them, and what the reward pays for both."""
