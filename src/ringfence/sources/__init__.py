"""Where a cluster comes from: one file per source, each returning a `Reading`."""
