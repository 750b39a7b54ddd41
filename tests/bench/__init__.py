"""Benchmarks, each with its peer in the same run: `python -m tests.bench`, which is `make bench`."""
