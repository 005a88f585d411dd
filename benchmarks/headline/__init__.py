"""The parts of benchmarks/small_beats_big.py: policies, systems, SFT rows, training, measuring, the table."""
