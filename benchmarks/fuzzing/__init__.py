"""Parts of `benchmarks/reward_fuzz.py`."""
