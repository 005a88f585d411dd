"""What benchmarks/segmentation.py is made of."""
