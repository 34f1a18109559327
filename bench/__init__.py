"""Measures ringfence on generated clusters: `python -m bench`, or `make bench`."""
