import pytest
from hypothesis import given
from hypothesis import strategies as st

from assemble.written import only_workload, snapshot, template
from ringfence.assemble.references import Search
from ringfence.model.cluster import Reference

SEARCH = Search({("shop", "db"), ("shop", "web"), ("infra", "vault")})


def hosts(value: str, name: str = "SETTING") -> list[tuple[str, int | None]]:
    return SEARCH.hosts(value, "shop", name)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("db", [("db", None)]),
        ("db:5432", [("db", 5432)]),
        ("DB:5432", [("db", 5432)]),
        ("cart:7070", [("cart", 7070)]),
        ("vault.infra", [("vault.infra", None)]),
        ("vault.infra:8200", [("vault.infra", 8200)]),
        ("queue.infra.svc", [("queue.infra.svc", None)]),
        ("queue.infra.svc.cluster.local:5672", [("queue.infra.svc.cluster.local", 5672)]),
        ("db-0.db.shop.svc.cluster.local.", [("db-0.db.shop.svc.cluster.local", None)]),
        ("postgres://user:pw@db:5432/x", [("db", 5432)]),
        ("postgres://user:p@ss@db:5432/x", [("db", 5432)]),
        ("redis://:secret@cache.shop.svc:6379/0", [("cache.shop.svc", 6379)]),
        ("jdbc:postgresql://db:5432/x?user=a", [("db", 5432)]),
        ("jdbc:sqlserver://db:1433;database=x", [("db", 1433)]),
        ("mongodb://u:p@m1:27017,m2:27018/x", [("m1", 27017), ("m2", 27018)]),
        ("user:pw@tcp(db:3306)/x", [("db", 3306)]),
        ("kafka1:9092,kafka2:9092", [("kafka1", 9092), ("kafka2", 9092)]),
        ("https://api.stripe.com/v1", [("api.stripe.com", 443)]),
        ("http://web/health", [("web", 80)]),
        ("kafka://broker", [("broker", None)]),
        ("http://[fd00::7]:8080/x", [("fd00::7", 8080)]),
        ("api.stripe.com:443", [("api.stripe.com", 443)]),
        ("10.0.0.7:5432", [("10.0.0.7", 5432)]),
        ("until nc -z db 5432; do sleep 1; done", [("db", None)]),
        ("curl -s http://web:8080 || wget db:80", [("web", 8080), ("db", 80)]),
        ('{"host": "db", "port": 5432}', [("db", None)]),
        ("http://web:8080/@me", []),
    ],
)
def test_hosts_are_found(value: str, expected: list[tuple[str, int | None]]) -> None:
    assert hosts(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "info",
        "api.stripe.com",
        "10.0.0.7",
        "10.0.0.0/8",
        "1.2.3",
        "1000:1000",
        "12:30:00",
        "main.py:80",
        "localhost:8080",
        "127.0.0.1:8080",
        "0.0.0.0:8080",
        "[::]:8080",
        "[::1]:8080",
        ":8080",
        "http://localhost:9090",
        "http://$(HOST):8080",
        "db:99999",
        "db:0",
        "admin@example.com",
        "postgres://user:12345/6@db/x",
        "/var/run/db.sock",
        "sha256:0123456789",
        "db_password",
    ],
)
def test_what_is_no_host_is_left_alone(value: str) -> None:
    assert hosts(value) == []


@pytest.mark.parametrize(
    "name", ["API_HOST", "STRIPE_URL", "UPSTREAM_ADDR", "endpoint", "SMTP_SERVER", "issuer-uri"]
)
def test_a_variable_that_suggests_a_host_may_hold_a_bare_one(name: str) -> None:
    assert hosts("api.stripe.com", name) == [("api.stripe.com", None)]
    assert hosts("10.0.0.7", name) == [("10.0.0.7", None)]
    assert hosts("settings.json", name) == []
    assert hosts("unheard-of", name) == []


@pytest.mark.parametrize(
    "name", ["PASSWORD", "DB_PASS", "API_TOKEN", "CLIENT_SECRET", "BASIC_AUTH"]
)
def test_of_a_secret_only_its_urls_are_looked_at(name: str) -> None:
    assert hosts("admin:12345", name) == []
    assert hosts("amqp://u:p@queue:5672", name) == [("queue", 5672)]


def test_a_secret_word_in_the_name_of_a_host_does_not_hide_it() -> None:
    assert hosts("auth:8080", "AUTH_ADDR") == [("auth", 8080)]


@given(
    user=st.text("abc", min_size=1),
    password=st.text("xyz0123:@", min_size=1),
    scheme=st.sampled_from(["postgres", "https", "amqp"]),
)
def test_credentials_are_never_kept(user: str, password: str, scheme: str) -> None:
    assert hosts(f"{scheme}://{user}:{password}@server:77/path") == [("server", 77)]


@given(st.text() | st.text('aB1.-:/@[]{}%,;=" '))
def test_any_text_can_be_searched(value: str) -> None:
    for host, port in hosts(value, "DB_HOST"):
        assert host == host.lower()
        assert port is None or 0 < port < 65536


def test_a_long_value_is_searched_in_reasonable_time() -> None:
    for text in ("a." * 100_000, "a-" * 100_000, "http://" + "a:" * 100_000, "[:" * 100_000):
        assert hosts(text) == []


SERVICES = """
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 5432}]}
"""


def references(containers: str) -> list[tuple[str, int | None, str]]:
    text = template("Deployment", "web", pod_spec=containers) + SERVICES
    found = only_workload(snapshot(text)).references
    return [(reference.host, reference.port, reference.evidence) for reference in found]


def test_environment_arguments_and_commands_are_searched() -> None:
    assert references(
        """containers: [{name: app,
            env: [{name: DB_ADDR, value: "db:5432"},
                  {name: PEER, valueFrom: {secretKeyRef: {name: s, key: k}}}],
            command: [run, "--cache=redis:6379"],
            args: [--upstream, api.example.com:443, db]}]"""
    ) == [
        ("api.example.com", 443, "args[1] of container app"),
        ("db", None, "args[2] of container app"),
        ("db", 5432, "env DB_ADDR of container app"),
        ("redis", 6379, "command[1] of container app"),
    ]


def test_a_flag_says_what_follows_it() -> None:
    args = "[--smtp-host, mail.example.com, --name, mail.example.org, --url=x.example.net]"
    assert [host for host, _, _ in references(f"containers: [{{name: app, args: {args}}}]")] == [
        "mail.example.com",
        "x.example.net",
    ]


def test_a_port_may_stand_in_the_variable_beside() -> None:
    env = '[{name: DB_HOST, value: db}, {name: DB_PORT, value: "5433"}]'
    assert references(f"containers: [{{name: app, env: {env}}}]") == [
        ("db", 5433, "env DB_HOST of container app")
    ]


def test_init_containers_are_searched_too() -> None:
    found = references("containers: [], initContainers: [{args: [db:5432]}]")
    assert found == [("db", 5432, "args[0] of container 0")]


def test_the_location_is_that_of_the_document() -> None:
    text = template("Deployment", "web", pod_spec="containers: [{name: a, args: ['db:1']}]")
    (reference,) = only_workload(snapshot(text)).references
    assert isinstance(reference, Reference)
    assert reference.location.file == "test.yaml"
