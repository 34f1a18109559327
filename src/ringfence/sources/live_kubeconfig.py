"""Kubeconfig files, as client-go reads them (`tools/clientcmd`).

`--kubeconfig`, else the files of `KUBECONFIG` merged (what stands first wins), else
`~/.kube/config`; relative paths start at the file that names them, and data in the file goes
before a path to it. The values are lightkube's, with what it leaves out.
"""

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml
from lightkube.config.kubeconfig import DEFAULT_KUBECONFIG
from lightkube.config.models import Cluster, Context, User

from ringfence.errors import UsageError
from ringfence.model.location import Location
from ringfence.sources.live_plugin import GROUP, Plugin

T = TypeVar("T")

PROXIES: Final = frozenset({"http", "https", "socks5", "socks5h"})


def exists(path: str | Path) -> bool:
    """Return whether a path leads to something that we may look at."""
    return os.path.exists(path)  # noqa: PTH110  (pathlib's raises where a folder is closed to us)


class ClusterEntry(Cluster):
    """A cluster, with what lightkube leaves out."""

    tls_server_name: str | None = msgspec.field(name="tls-server-name", default=None)
    proxy_url: str | None = msgspec.field(name="proxy-url", default=None)


class UserEntry(User):
    """A user, with what lightkube leaves out."""

    exec: Plugin | None = None
    impersonate: str | None = msgspec.field(name="as", default=None)
    impersonate_uid: str | None = msgspec.field(name="as-uid", default=None)
    impersonate_groups: list[str] = msgspec.field(name="as-groups", default_factory=list)


@dataclass(frozen=True)
class Choice:
    """A context with the cluster and the user that it brings together; all paths are absolute."""

    name: str
    context: Context
    cluster: ClusterEntry
    user: UserEntry
    location: Location
    """The file where the user stands."""


class _Named(msgspec.Struct):
    """An entry of one of a kubeconfig's three lists."""

    name: str
    context: dict[str, Any] | None = None
    cluster: dict[str, Any] | None = None
    user: dict[str, Any] | None = None


class _File(msgspec.Struct):
    """A kubeconfig, as far as it matters here."""

    contexts: list[_Named] | None = None
    clusters: list[_Named] | None = None
    users: list[_Named] | None = None
    current_context: str | None = msgspec.field(name="current-context", default=None)


@dataclass(frozen=True)
class _Entry:
    """What a context, cluster or user holds, and the file where it stands."""

    body: dict[str, Any]
    file: Path

    @property
    def location(self) -> Location:
        return Location(str(self.file))

    def convert(self, shape: type[T]) -> T:
        """Return the entry as a typed value."""
        try:
            return msgspec.convert(self.body, shape)
        except msgspec.ValidationError as error:
            raise UsageError(f"bad kubeconfig: {error}", self.location) from error

    def must_decode(self, **data: str | None) -> None:
        """Refuse data that is not base64, under its key in the kubeconfig."""
        for key, text in data.items():
            try:
                base64.b64decode(text or "")
            except ValueError as error:
                raise UsageError(
                    f"bad kubeconfig: `{key.replace('_', '-')}` is not base64", self.location
                ) from error

    def must_exist(self, **paths: str | None) -> None:
        """Refuse a path that leads to no file, under its key in the kubeconfig."""
        for key, path in paths.items():
            if path is not None and not exists(path):
                raise UsageError(
                    f"bad kubeconfig: `{key.replace('_', '-')}` leads nowhere: `{path}`",
                    self.location,
                )

    def absolute(self, path: str | None) -> str | None:
        """Return a path that starts at the folder of the file; None for none."""
        return str((self.file.parent / path).absolute()) if path else None


def find(kubeconfig: str | None) -> list[Path]:
    """Return the kubeconfig files to read; none where the account of the pod is left.

    Raises:
        UsageError: files are named, and none of them exists.
    """
    if kubeconfig is not None:
        path = _at_home(kubeconfig)
        if not exists(path):
            raise UsageError(f"no kubeconfig file `{kubeconfig}`")
        return [path]
    listed = os.environ.get("KUBECONFIG", "")
    if listed:
        found = [
            path for part in listed.split(os.pathsep) if part and exists(path := _at_home(part))
        ]
        if not found:
            raise UsageError(f"KUBECONFIG names no file that exists: `{listed}`")
        return found
    default = _at_home(DEFAULT_KUBECONFIG)
    return [default] if exists(default) else []


def _at_home(path: str) -> Path:
    """Return a path with `~` resolved, where there is a home (random users of pods have none)."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  (pathlib's raises where there is none)


def _load(path: Path) -> _File:
    """Return one kubeconfig file."""
    location = Location(str(path))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return msgspec.convert({} if content is None else content, _File)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise UsageError(f"bad kubeconfig: {error.problem}", Location(str(path), line)) from error
    except OSError as error:
        raise UsageError(f"cannot read the kubeconfig: {error.strerror}", location) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: no UTF-8, an impossible date, or values of another type than they should be.
        reason = " ".join(str(error).split())
        raise UsageError(f"bad kubeconfig: {reason}", location) from error


def choose(files: list[Path], context: str | None) -> Choice:
    """Return what one context says, or the current one where none is named.

    Raises:
        UsageError: a file cannot be read, there is no such context, or what it says cannot be.
    """
    contexts: dict[str, _Entry] = {}
    clusters: dict[str, _Entry] = {}
    users: dict[str, _Entry] = {}
    current = ""
    for path in files:
        loaded = _load(path)
        for entry in loaded.contexts or ():
            contexts.setdefault(entry.name, _Entry(entry.context or {}, path))
        for entry in loaded.clusters or ():
            clusters.setdefault(entry.name, _Entry(entry.cluster or {}, path))
        for entry in loaded.users or ():
            users.setdefault(entry.name, _Entry(entry.user or {}, path))
        current = current or loaded.current_context or ""
    location = Location(os.pathsep.join(map(str, files)))
    available = ", ".join(f"`{name}`" for name in sorted(contexts)) or "none"
    name = current if context is None else context
    if not name:
        raise UsageError(f"no current context; give `--context` with one of: {available}", location)
    if name not in contexts:
        raise UsageError(f"no context `{name}`; there are: {available}", location)
    chosen = contexts[name].convert(Context)
    if chosen.cluster not in clusters:
        raise UsageError(f"context `{name}` names no known cluster: `{chosen.cluster}`", location)
    if chosen.user and chosen.user not in users:
        raise UsageError(f"context `{name}` names no known user: `{chosen.user}`", location)
    cluster_entry = clusters[chosen.cluster]
    if not cluster_entry.body.get("server"):
        raise UsageError(f"cluster `{chosen.cluster}` names no server", cluster_entry.location)
    user_entry = users[chosen.user] if chosen.user else _Entry({}, files[0])
    cluster = _cluster(cluster_entry)
    user = _user(user_entry)
    return Choice(name, chosen, cluster, user, user_entry.location)


def _cluster(entry: _Entry) -> ClusterEntry:
    """Return a cluster with absolute paths."""
    cluster = entry.convert(ClusterEntry)
    # lightkube has it the other way round: there the path goes before the data.
    path = None if cluster.certificate_auth_data else entry.absolute(cluster.certificate_auth)
    entry.must_exist(certificate_authority=path)
    entry.must_decode(certificate_authority_data=cluster.certificate_auth_data)
    if cluster.proxy_url and cluster.proxy_url.partition("://")[0] not in PROXIES:
        raise UsageError("bad kubeconfig: `proxy-url` is no address of a proxy", entry.location)
    return msgspec.structs.replace(cluster, certificate_auth=path)


def _user(entry: _Entry) -> UserEntry:
    """Return a user with absolute paths."""
    user = entry.convert(UserEntry)
    if bool(user.client_cert or user.client_cert_data) != bool(
        user.client_key or user.client_key_data
    ):
        raise UsageError(
            "bad kubeconfig: a client certificate and its key go together", entry.location
        )
    certificate = None if user.client_cert_data else entry.absolute(user.client_cert)
    key = None if user.client_key_data else entry.absolute(user.client_key)
    token_file = entry.absolute(user.token_file)
    entry.must_exist(client_certificate=certificate, client_key=key, tokenFile=token_file)
    entry.must_decode(
        client_certificate_data=user.client_cert_data, client_key_data=user.client_key_data
    )
    plugin = user.exec
    if plugin is not None:
        if not plugin.apiVersion.startswith(GROUP):
            raise UsageError(
                f"bad kubeconfig: unknown credential plugin API `{plugin.apiVersion}`",
                entry.location,
            )
        if os.sep in plugin.command:
            command = str(entry.absolute(plugin.command))
            plugin = msgspec.structs.replace(plugin, command=command)
    return msgspec.structs.replace(
        user, client_cert=certificate, client_key=key, token_file=token_file, exec=plugin
    )
