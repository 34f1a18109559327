"""One file per policy language: parse to the common rule, emit from it."""
