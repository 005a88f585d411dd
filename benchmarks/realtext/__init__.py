"""Parts of benchmarks/gpu/real_text.py."""
