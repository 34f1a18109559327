"""Holds what was meant against what a judge concludes, and names every difference."""
