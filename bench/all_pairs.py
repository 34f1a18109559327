"""Judges all pairs of a snapshot in the engine and prints what there was to count, as JSON.

Run as a process of its own, `python -m bench.all_pairs FILE`, so that loading is measured too.
"""

import json
import sys
import time

import numpy as np

from ringfence import assemble
from ringfence.engine import Engine
from ringfence.engine.classes import Classes


def main(path: str) -> None:
    """Judge and count. Nothing that is counted depends on the machine; the seconds do."""
    started = time.perf_counter()
    snapshot = assemble.load([path])
    loaded = time.perf_counter()
    engine = Engine(snapshot)
    classes = engine.compiled(4).classes
    compiled = time.perf_counter()
    weights = identities_of(classes)
    allowed = 0
    for source, reaches in engine.matrix(4).rows():
        reached = 0
        for reach in reaches:
            reached |= reach.certain
        if weights[source] and reached:
            allowed += int(weights[source]) * int(weights @ bits_of(reached, classes.count))
    judged = time.perf_counter()
    identities = int(weights.sum())
    print(
        json.dumps(
            {
                "workloads": len(snapshot.workloads),
                "pods": sum(len(i.pods) for w in snapshot.workloads for i in w.identities),
                "identities": identities,
                "classes": classes.count,
                "policies": len(snapshot.policies),
                "rules": sum(len(policy.rules) for policy in snapshot.policies),
                "pairs": identities * identities,
                "allowed": allowed,
                "load_s": round(loaded - started, 2),
                "compile_s": round(compiled - loaded, 2),
                "judge_s": round(judged - compiled, 2),
            }
        )
    )


def identities_of(classes: Classes) -> np.ndarray:
    """Return how many identities of workloads each class holds.

    Shape: (classes,), int64.
    """
    first_node = classes.universe.first_node
    counts = (sum(element < first_node for element in members) for members in classes.members)
    return np.fromiter(counts, np.int64, classes.count)


def bits_of(found: int, count: int) -> np.ndarray:
    """Return a bit set as an array of 0 and 1.

    Shape: (count,), uint8.
    """
    packed = np.frombuffer(found.to_bytes((count + 7) // 8, "little"), np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little")


if __name__ == "__main__":
    main(sys.argv[1])
