"""The objects of a live cluster that matter, listed page by page.

Only the kinds of `ringfence.model.kinds` are read, and of ConfigMaps the few of `config_maps`, by
their names; Secrets never.
Bodies are what the server sent, less `managedFields` everywhere and, in anything but policies,
bulk that says nothing about connections.

Authority: Kubernetes API concepts, "Retrieving large results sets in chunks".
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ringfence.errors import ClusterError
from ringfence.model.document import Document
from ringfence.model.kinds import Kind
from ringfence.model.location import Location, Problem
from ringfence.sources.config_maps import CILIUM_CONFIG, Wanted, expected, reduced
from ringfence.sources.live_discovery import Served, discover, full_name
from ringfence.sources.live_requests import Refusal, Server

PAGE_SIZE: Final = 500
"""Objects a page, as kubectl asks for them."""
EXPIRIES: Final = 5
"""How often one list may expire before it is given up."""

FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
GONE: Final = 410

CONFIG_MAPS: Final = Served(
    Kind("", ("v1",), "ConfigMap", "configmaps"),
    "v1",
)
"""A few are read, each by its name: `config_maps`."""

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
BULK: Final = {
    "Pod": ("containerStatuses", "ephemeralContainerStatuses", "initContainerStatuses"),
    "Node": ("conditions", "images", "volumesAttached", "volumesInUse"),
}
"""Keys of `status` that take much room and no part in any question, by kind."""


class _Meta(msgspec.Struct, frozen=True):
    continue_: str | None = msgspec.field(name="continue", default=None)


class _Page(msgspec.Struct, frozen=True):
    """A list, or the part of it that one request brings."""

    items: list[dict[str, Any]] | None
    metadata: _Meta = _Meta()


class Listing:
    """One reading of a cluster: what was found, and what could not be read."""

    def __init__(
        self,
        server: Server,
        location: Location,
        namespace: str | None,
        progress: Callable[[str, int], None] | None,
    ) -> None:
        """Prepare for reading; nothing is sent yet."""
        self._server = server
        self._location = location
        self._namespace = namespace
        self._progress = progress
        self.documents: list[Document] = []
        self.problems: list[Problem] = []

    def read(self) -> None:
        """Read everything, once.

        Raises:
            ClusterError: the server cannot be reached, refuses the credentials, or fails at every
                list that it is asked for.
        """
        served, problems = discover(self._server, self._location)
        self.problems += problems
        failures: list[Refusal] = []
        for item in served:
            answer = self._all(item) if item.kind.namespaced else self._cluster_wide(item)
            if isinstance(answer, Refusal):
                failures.append(answer)
            else:
                self.documents += answer
        broken = [failure for failure in failures if failure.status != FORBIDDEN]
        if broken and len(failures) == len(served):
            raise ClusterError(
                f"{self._location}: the server fails at every list: {broken[0].message} "
                f"({broken[0].status})"
            )
        self._read_config_map(
            Wanted(*CILIUM_CONFIG, ""), "if Cilium runs here, its settings are not known"
        )
        for wanted in expected(self.documents):
            self._read_config_map(wanted, "the mesh's own defaults are assumed")

    def _cluster_wide(self, served: Served) -> list[Document] | Refusal:
        """Return the objects of a kind without namespaces."""
        answer = self._list(served, None)
        if not isinstance(answer, Refusal):
            return answer
        name = full_name(served.kind)
        if answer.status == FORBIDDEN and self._namespace and served.kind.kind == "Namespace":
            one = self._one(served, None, self._namespace)
            if not isinstance(one, Refusal):
                self._problem(
                    served,
                    f"the account may `get` namespace `{self._namespace}` but not `list` "
                    f"`{name}` at cluster scope",
                )
                return one
        self._refused(served, answer, f"may not `list` `{name}` at cluster scope")
        return answer

    def _all(self, served: Served) -> list[Document] | Refusal:
        """Return the objects of all namespaces; of ours alone if that is all we may see."""
        answer = self._list(served, None)
        if not isinstance(answer, Refusal):
            return answer
        name = full_name(served.kind)
        if answer.status == FORBIDDEN and self._namespace:
            one = self._list(served, self._namespace)
            if not isinstance(one, Refusal):
                self._problem(
                    served,
                    f"the account may `list` `{name}` in namespace `{self._namespace}` but not in "
                    "all namespaces",
                    spared=self._namespace,
                )
                return one
            answer = one
        scope = "all namespaces"
        if self._namespace and answer.status == FORBIDDEN:
            scope += f", nor in namespace `{self._namespace}`"
        self._refused(served, answer, f"may not `list` `{name}` in {scope}")
        return answer

    def _read_config_map(self, wanted: Wanted, otherwise: str) -> None:
        """Read one of the ConfigMaps that bear on verdicts, where it is there.

        Args:
            wanted: its names, and what of it is kept.
            otherwise: what follows if it may not be read.
        """
        namespace, name, key = wanted
        answer = self._one(CONFIG_MAPS, namespace, name)
        if not isinstance(answer, Refusal):
            for document in answer:
                body, data = document.body, document.body.get("data")
                if key and not (isinstance(data, dict) and key in data):
                    continue
                kept = reduced(body, key) if key else body
                self.documents.append(msgspec.structs.replace(document, body=kept))
        elif answer.status != NOT_FOUND:
            self.problems.append(
                Problem(
                    f"the account may not `get` `configmaps` `{name}` in namespace `{namespace}`: "
                    f"{otherwise}",
                    self._location,
                    (CONFIG_MAPS.kind.kind,),
                    f"ConfigMap/{namespace}/{name}",
                    "warning",
                )
            )

    def _one(self, served: Served, namespace: str | None, name: str) -> list[Document] | Refusal:
        """Return one object by its name."""
        answer = self._server.get(served.path(namespace, name), dict[str, Any])
        return answer if isinstance(answer, Refusal) else self._documents(served, [answer])

    def _list(self, served: Served, namespace: str | None) -> list[Document] | Refusal:
        """Return a whole list, sorted by namespace and name.

        A list that expires on the way goes on from the key where it stopped, with the cluster as
        it is by then; where the server offers no such token, it starts again.
        Source: the API's ListMeta and ListOptions, `continue`.
        """
        path = served.path(namespace)
        found: dict[tuple[str, str], Document] = {}
        token, expiries = "", 0
        while True:
            parameters = {"limit": str(PAGE_SIZE)}
            if token:
                parameters["continue"] = token
            page = self._server.get(path, _Page, **parameters)
            if isinstance(page, Refusal):
                if page.status == NOT_FOUND:
                    # The server has the kind no more: its definition was removed just now.
                    return []
                if page.status != GONE or expiries == EXPIRIES:
                    return page
                expiries += 1
                token = page.continue_token
                if not token:
                    found.clear()
                continue
            for document in self._documents(served, page.items or []):
                found[document.namespace, document.name] = document
            if self._progress is not None:
                self._progress(served.kind.plural, len(found))
            following = page.metadata.continue_
            if not following:
                return [document for _, document in sorted(found.items())]
            if following == token:
                raise ClusterError(
                    f"{self._location}: `{path}` gives the same page again and again"
                )
            token = following

    def _documents(self, served: Served, items: list[dict[str, Any]]) -> list[Document]:
        """Return the documents of a list's items, which do not say their kind themselves."""
        documents = []
        for item in items:
            metadata = item.get("metadata")
            if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
                self._problem(served, f"an item of `{full_name(served.kind)}` has no name")
                continue
            _make_lean(served.kind, item, metadata)
            documents.append(
                Document(
                    served.api_version,
                    served.kind.kind,
                    str(metadata.get("namespace") or ""),
                    metadata["name"],
                    {"apiVersion": served.api_version, "kind": served.kind.kind, **item},
                    self._location.file,
                )
            )
        return documents

    def _refused(self, served: Served, refusal: Refusal, forbidden: str) -> None:
        """Note that a kind could not be read."""
        if refusal.status == FORBIDDEN:
            self._problem(served, f"the account {forbidden}")
        else:
            self._problem(
                served,
                f"`list` of `{full_name(served.kind)}` failed: {refusal.message} "
                f"({refusal.status})",
            )

    def _problem(self, served: Served, message: str, spared: str | None = None) -> None:
        kinds = (served.kind.title,)
        self.problems.append(Problem(message, self._location, kinds, spared=spared))


def _make_lean(kind: Kind, item: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Drop from an object what is large and of no use."""
    metadata.pop("managedFields", None)
    if kind.policy:
        return
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        annotations.pop(LAST_APPLIED, None)
    status = item.get("status")
    if isinstance(status, dict):
        for key in BULK.get(kind.kind, ()):
            status.pop(key, None)
