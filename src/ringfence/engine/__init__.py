"""The fast judge: identities, equivalence classes and bit sets, all pairs at once.

`Engine(snapshot).judge(connection)` answers one connection with its evidence, `.trace` the whole
way to that answer, `.matrix()` everything at once. Elements that no policy tells apart form a
class; sets of classes are Python integers used as bit sets.

A question goes through the files of this room from the top of this list to the bottom:

- `judge`: cut into the parts that rules tell apart; the answers summed up
    - `compiled`: what is worked out once per family of IP; which elements an end is
    - `ends`: what two ends are to each other: one pod, a pod and its node
    - `views`: the parts of a question, as the network sees it
- `mesh`: the network and a mesh together, by every way that a connection may take
    - `transport`: which proxies take it, whether by mTLS, at which port on the wire
    - `wire`: what mTLS makes of classes of traffic
    - `overlays`: the legs of a way, and ways of which either may be right, as one
    - `repeated_headers`: headers with several values, of which is not told what Envoy makes
- `sides`: one part from both ends; what the network settles without policies
    - `trace`: through a stack, tier by tier, with the evidence
    - `encounters`: how the rules of a policy meet the connection
    - `steps`: the values that a trace is made of
    - `reasons`: why something is unknown, in words
    - `forwarding`: what host endpoints say of traffic that their nodes forward
- `matrix`: all pairs of classes at once
    - `crossing`: through the network and a mesh, by every way
    - `lanes`: how what a kind of client sends is carried to all destinations
    - `turned`: what destinations accept, by source
    - `endings`: stacks that end in a union, which is added up peer by peer
    - `waypoints`: what is called by way of which proxies
    - `pieces`: sets of traffic to destinations, certain or not
- `rows`: what a stack allows, for all peers at once
    - `outcome`: what becomes of the peers as the policies of a stack decide
- `stack`: which policies apply to a class of subjects, and in which order they decide
    - `proxy`: what Cilium's rules of layer 7 do to each other
    - `redirects`, `redirected`, `hearings`, `protocols`: as what Cilium's proxies read traffic,
      for all peers and for one connection
- `classes`: elements gathered into classes, and the policies compiled to them
    - `sought`: what policies look for, and which of them count
    - `rules`: compiled rules as values
    - `peers`, `labels`, `host_endpoints`, `members`: which elements a peer stands for
    - `shares`, `ports`: which traffic a rule means; what port names stand for
    - `chains`, `clients`: how the proxies of a mesh read ports; how those of clients call Services
    - `matches`: three-valued sets
- `universe`: the elements: identities, nodes, cells of addresses, domain names, Services
- `traffic`, `spaces`, `zones`: classes of traffic, above the port where rules look there
- `addresses`, `bits`: cells of IP space; sets as integers
"""

from ringfence.engine.judge import Engine
from ringfence.engine.sides import LOOPBACK_NOTE
from ringfence.engine.steps import Trace
from ringfence.engine.views import View

__all__ = ["LOOPBACK_NOTE", "Engine", "Trace", "View"]
