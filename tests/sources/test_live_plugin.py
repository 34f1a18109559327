"""What a kubeconfig's plug-ins hand over."""

import json
import stat
import sys
from pathlib import Path

import pytest

from sources.api_server import ApiServer, Request, write_kubeconfig
from sources.certificates import Certificates
from sources.live_readings import assert_read, refusal

pytestmark = pytest.mark.usefixtures("sealed")


V1 = "client.authentication.k8s.io/v1"


def plugin(folder: Path, code: str) -> str:
    """Write a credential plug-in in Python and return its path."""
    path = folder / "plugin"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def hand_over(**fields: object) -> str:
    credential = {"kind": "ExecCredential", "apiVersion": V1, "status": fields}
    return f"print({json.dumps(json.dumps(credential))})"


@pytest.mark.parametrize("version", [V1, "client.authentication.k8s.io/v1beta1"])
def test_a_plugins_token(plain: ApiServer, tmp_path: Path, config: Path, version: str) -> None:
    plain.tokens = {"from-plugin"}
    command = plugin(
        tmp_path,
        "open(sys.argv[1], 'w').write(os.environ['KUBERNETES_EXEC_INFO'] + os.environ['COLOUR'])\n"
        + hand_over(token="from-plugin"),
    )
    user = {
        "exec": {
            "apiVersion": version,
            "command": "./plugin",
            "args": [str(tmp_path / "told")],
            "env": [{"name": "COLOUR", "value": "blue"}],
            "interactiveMode": "Never",
            "provideClusterInfo": True,
        }
    }
    assert command == str(tmp_path / "plugin")
    assert_read(kubeconfig=write_kubeconfig(config, plain.url, user=user))
    told = (tmp_path / "told").read_text()
    assert told.endswith("blue")
    assert json.loads(told.removesuffix("blue")) == {
        "apiVersion": version,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {"server": plain.url, "insecure-skip-tls-verify": False},
        },
    }


def test_a_plugins_expired_token_is_replaced(
    plain: ApiServer, tmp_path: Path, config: Path
) -> None:
    command = plugin(
        tmp_path,
        f"path = {str(tmp_path / 'runs')!r}\n"
        "open(path, 'a').write('x')\n"
        "token = 'token-%d' % len(open(path).read())\n"
        "print(json.dumps({'kind': 'ExecCredential', 'status': {'token': token}}))",
    )
    plain.tokens = {"token-1"}

    def script(request: Request) -> None:
        plain.tokens = {"token-2"}

    plain.scripts["/apis"] = script
    user = {"exec": {"apiVersion": V1, "command": command}}
    assert_read(kubeconfig=write_kubeconfig(config, plain.url, user=user))
    assert (tmp_path / "runs").read_text() == "xx"


def test_a_plugins_certificate(
    secured: ApiServer, tmp_path: Path, config: Path, certificates: Certificates
) -> None:
    secured.certificate_wanted = True
    command = plugin(
        tmp_path,
        hand_over(
            clientCertificateData=certificates.client.read_text(),
            clientKeyData=certificates.client_key.read_text(),
        ),
    )
    user = {"exec": {"apiVersion": V1, "command": command}}
    authority = {"certificate-authority": str(certificates.authority)}
    assert_read(kubeconfig=write_kubeconfig(config, secured.url, user=user, cluster=authority))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.exit(3)", "failed with exit code 3"),
        ("print('hello')", "hands over no ExecCredential"),
        ("print('{}')", "hands over no ExecCredential"),
        (hand_over(), "hands over neither a token nor a certificate"),
        (hand_over(clientKeyData="x"), "half of a certificate"),
    ],
)
def test_a_plugin_that_fails(
    plain: ApiServer, tmp_path: Path, config: Path, code: str, message: str
) -> None:
    user = {"exec": {"apiVersion": V1, "command": plugin(tmp_path, code)}}
    told = refusal(kubeconfig=write_kubeconfig(config, plain.url, user=user))
    assert told.startswith("4: the credential plugin `")
    assert message in told
    assert plain.requests == []


def test_a_plugin_that_is_not_there(plain: ApiServer, config: Path) -> None:
    user = {"exec": {"apiVersion": V1, "command": "no-such-plugin", "installHint": "get it\nthere"}}
    assert refusal(kubeconfig=write_kubeconfig(config, plain.url, user=user)) == (
        "4: the credential plugin `no-such-plugin` cannot be run: No such file or directory "
        "(get it there)"
    )


def test_a_plugin_of_another_api(plain: ApiServer, config: Path) -> None:
    user = {"exec": {"apiVersion": "v1", "command": "x"}}
    told = refusal(kubeconfig=write_kubeconfig(config, plain.url, user=user))
    assert told == f"2: {config}: bad kubeconfig: unknown credential plugin API `v1`"
