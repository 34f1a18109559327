"""How policies are to be written, beside what a map says: the language, and what it is used for."""

from enum import StrEnum
from typing import Final

import msgspec

from ringfence.errors import UsageError
from ringfence.model.profile import Cni
from ringfence.model.proposal import Edition

KUBERNETES: Final = "kubernetes"
CALICO: Final = "calico"
CILIUM: Final = "cilium"

NO_NETWORK: Final = ""
"""In place of a language of the network, where only a mesh gets policies."""
ISTIO: Final = "istio"
LINKERD: Final = "linkerd"
MESHES: Final = (ISTIO, LINKERD)

ENFORCED_BY: Final = {CALICO: Cni.CALICO, CILIUM: Cni.CILIUM}
"""The only profile under which anything enforces policies of a language."""


class Naming(StrEnum):
    """By what policies tell a peer."""

    LABELS = "labels"
    SERVICE_ACCOUNTS = "service-accounts"
    """Where a workload has one of its own; by its labels where not."""


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants of the policies."""

    dialect: str = KUBERNETES
    """Of the network; `NO_NETWORK` for none."""
    mesh: str = ""
    """The mesh that gets policies, too; empty for none."""
    allow_wider: bool = False
    """Where the language cannot say a peer: write what contains it, rather than nothing."""
    identity: Naming = Naming.LABELS
    edition: Edition = Edition.OSS
    """Of Calico."""
    staged: bool = False
    """Policies that are only planned, not enforced."""
    log_denied: bool = False

    @property
    def kind(self) -> str:
        """The kind of the objects that are written."""
        if self.dialect == CILIUM:
            return "CiliumNetworkPolicy"
        return "StagedNetworkPolicy" if self.staged else "NetworkPolicy"

    @property
    def title(self) -> str:
        """The kind with its group where another kind has the same name, as `Document.title`."""
        if self.dialect == CALICO and not self.staged:
            return f"{self.kind}.projectcalico.org"
        return self.kind

    @property
    def dialects(self) -> tuple[str, ...]:
        """The languages that are written, that of the network first."""
        return tuple(name for name in (self.dialect, self.mesh) if name)

    def check(self) -> None:
        """Refuse what no object of the language could mean.

        Raises:
            UsageError: a wish that only another language can fulfil.
        """
        by_account = self.identity is Naming.SERVICE_ACCOUNTS
        if by_account and self.dialect and self.dialect not in ENFORCED_BY:
            raise UsageError(
                f"`{self.dialect}` knows no service accounts: choose `calico` or `cilium`"
            )
        if self.mesh and self.staged:
            raise UsageError(f"`{self.mesh}` has no policies that are only planned")
        if self.edition is not Edition.OSS and self.dialect != CALICO:
            raise UsageError(f"an edition of Calico says nothing of `{self.dialect}`")
        if self.staged and self.dialect == KUBERNETES:
            raise UsageError("a NetworkPolicy cannot be staged: choose `calico`")


PLAIN: Final = Wishes()
