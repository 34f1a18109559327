"""What can be asked of a snapshot: `check`, `connectivity`, `diff`, `explain`, `exposure`, `mtls`.

What these are made of:

- `naming`, `destinations`: from the names that people use to the ends that policies judge
- `requests`: what a question says above the port
- `combining`, `provisos`, `lookups`, `staged`: one verdict for several connections, and what is to
  be said beside it
- `grid`, `units`, `domains`, `mtls_coverage`: the endpoints of `connectivity`, what they may send
  each other, and what of it goes over mTLS
- `traffic_sets`, `limits`, `refinement`: sets of traffic, and the peers of two answers, for `diff`
- `rule_words`, `changes`, `proposed_rules`, `mesh_changes`: why, and what would change it, for
  `explain`
- `entrances`, `admissions`, `controllers`: ways in from outside, for `exposure`
- `mtls_modes`: what members of a mesh ask of their callers, and that made strict, for `mtls`
- `mesh_warnings`: what policies do in a mesh that nobody may have meant
    - `mesh_probes`: the connections that show it
    - `mesh_evasions`, `mesh_blind_rules`, `mesh_transport_warnings`: of each sort
- `cluster_dns`: where names are looked up
"""
