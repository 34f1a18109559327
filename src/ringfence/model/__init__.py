"""Frozen values that every room shares: no matching, no input, no output."""
