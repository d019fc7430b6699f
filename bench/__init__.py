"""Benchmarks and the rivals they are measured against."""
