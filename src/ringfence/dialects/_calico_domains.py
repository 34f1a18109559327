"""Domain names in Calico Enterprise and Calico Cloud: `domains`, `allowedEgressDomains`.

Authority: docs.tigera.io, "Use DNS-based policy": at most one `*`, and it is a whole component.
"""

import re
from typing import Any, Final

from ringfence.dialects._shared import Malformed, text
from ringfence.model.document import Path

COMPONENT: Final = r"[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?"
NAME: Final = re.compile(rf"({COMPONENT}|\*)(\.({COMPONENT}|\*))*")


def domain(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a domain name in lower case, without a final dot.

    Raises:
        Malformed: not a domain name, or one with more than one `*`.
    """
    written = text(value, path)
    found = written.lower().removesuffix(".")
    if len(found) > 253 or found.count("*") > 1 or not NAME.fullmatch(found):
        raise Malformed(f"`{written[:60]}` is not a domain name", path)
    return found
