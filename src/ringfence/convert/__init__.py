"""Converts the policies of a cluster from the dialects that it has into another one.

`convert` reads the policies in common form as an ordered list of steps (`lift`), says each in the
words of the target (`speak`, one file per dialect), arranges them as a union or in an order
(`flatten`, `arrange`), writes them, reads the bytes back under the profile that enforces them, and
holds every verdict against what it was (`compare`). A rule by which more would be allowed than
before is taken out again, unless wider is asked for.
"""

from ringfence.convert.conversion import Conversion, convert

__all__ = ["Conversion", "convert"]
