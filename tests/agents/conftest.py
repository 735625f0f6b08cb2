"""Look-alikes, gateways, and nothing else to talk to."""

import contextlib
import http.server
import json
import os
import socket
import threading

import house as houses
import pytest

AUDIENCE = "tollgate.test"


def pytest_configure():
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if others or "TOLLGATE_AGENTS" not in os.environ:
        pytest.exit("these tests are started by scripts/agents, in a network namespace of their own", returncode=2)


@contextlib.contextmanager
def living_in(folder, server=""):
    house = houses.House(houses.default_binary(), folder, server)
    try:
        yield house
    finally:
        house.stop()


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    with living_in(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="session")
def trusting(tmp_path_factory):
    """A gateway that takes everybody who can reach it for alice."""
    with living_in(tmp_path_factory.mktemp("trusting"), 'principal = "alice"') as house:
        yield house


class Sts(http.server.BaseHTTPRequestHandler):
    """STS, as far as the gateway asks it: whoever presents a request has alice's role. The gateway's own tests look at
    the signatures."""

    def do_GET(self):
        arn = f"arn:aws:sts::{houses.ACCOUNT}:assumed-role/Developer/alice"
        body = json.dumps({"GetCallerIdentityResponse": {"GetCallerIdentityResult": {"Arn": arn}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def logins(tmp_path_factory):
    """A gateway that takes AWS roles, and no STS but ours."""
    sts = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sts)
    threading.Thread(target=sts.serve_forever, daemon=True).start()
    roles = f"""
[identity.aws_login]
audience = "{AUDIENCE}"
endpoint = "http://127.0.0.1:{sts.server_port}"

[[identity.aws_login.roles]]
arn = "arn:aws:sts::{houses.ACCOUNT}:assumed-role/Developer/{{name}}"
principal = "{{name}}"
"""
    with living_in(tmp_path_factory.mktemp("logins"), roles) as house:
        yield house
    sts.shutdown()
    sts.server_close()


@pytest.fixture(scope="session")
def vending(tmp_path_factory):
    """A gateway that gives carol a profile of whatever model of Anthropic's she asks for."""
    tables = f"""
[[accounts]]
account = "{houses.ACCOUNT}"
regions = ["{houses.REGION}"]

[discovery]
endpoint = "BEDROCK_URL"

[[discovery.rules]]
profile_tag = "tollgate:owner"
name_of = "principal"

[[vending]]
principals = ["carol"]
models = ["anthropic.*"]
geographies = ["us"]
"""
    with living_in(tmp_path_factory.mktemp("vending"), tables) as house:
        yield house
