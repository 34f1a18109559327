"""Exact set algebra over what is said above the port: HTTP, DNS, TLS names.

- `Space(boxes)`: all requests on one port, cut into the classes that boxes (`Layer7`) tell apart.
  `.count`, `.everything`; `.mask(box)` and `.mask_of(request)`: sets of classes as integers, bit i
  set for class i; `.witness(number)`: a request of a class; `.write(mask)`: a set of classes as
  `Allowance.l7` and `l7_except` have it.
- `Limits(l7, l7_except)` and `included`, `union`, `intersection`, `difference` of such values.
- `Atoms(patterns, universe)`: all strings, cut into the atoms that patterns tell apart.
- `canonical(text)`: one way of writing a pattern; `invalid_pattern(pattern)`: why RE2 refuses a
  regular expression; `why_undecidable(box)`: why a box alone cannot be followed, so that its rule
  matches perhaps and the box must stay out of every `Space`.
- `matches(pattern, name)`: a domain pattern against a name.
- `linkerd_requests`: requests as the routes of Linkerd's proxies see them, query parameters too.
- `to_json(box)`, `text(box)`, `limit_text(l7, l7_except)`: a box as answers have it.
- `Undecidable`: what has no exact answer in bounded time; its message says why.
"""

from ringfence.layer7.atoms import Atoms
from ringfence.layer7.compare import Limits, difference, included, intersection, union
from ringfence.layer7.forms import canonical
from ringfence.layer7.names import matches
from ringfence.layer7.regex import invalid_pattern
from ringfence.layer7.space import Space, why_undecidable
from ringfence.layer7.undecidable import Undecidable
from ringfence.layer7.words import limit_text, text, to_json

__all__ = [
    "Atoms",
    "Limits",
    "Space",
    "Undecidable",
    "canonical",
    "difference",
    "included",
    "intersection",
    "invalid_pattern",
    "limit_text",
    "matches",
    "text",
    "to_json",
    "union",
    "why_undecidable",
]
