"""Parts of the benchmarks of training steps: benchmarks/step_overhead.py and benchmarks/gpu/."""
