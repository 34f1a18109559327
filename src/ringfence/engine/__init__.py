"""The fast judge: identities, equivalence classes and bit sets, all pairs at once."""
