"""Counts what an answer of `connectivity -o json` lists: `python -m bench.count FILE` prints JSON.

Run as a process of its own, because answers are large.
"""

import json
import sys
from pathlib import Path


def main(path: str) -> None:
    """Print how many endpoints of each sort and how many pairs there are."""
    answer = json.loads(Path(path).read_text())
    kinds = [endpoint["kind"] for endpoint in answer["endpoints"]]
    outside, names = kinds.count("External"), kinds.count("Domain")
    counts = {
        "workloads": len(kinds) - outside - names,
        "ranges": outside,
        **({"names": names} if names else {}),
        "pairs": len(answer["connections"]),
    }
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1])
