"""Measurements that want a GPU; each goes its whole way on a CPU with --tiny."""
