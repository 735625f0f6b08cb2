"""A look-alike, a gateway, and nothing else to talk to."""

import os
import socket

import house as houses
import pytest


def pytest_configure():
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if others or "TOLLGATE_AGENTS" not in os.environ:
        pytest.exit("these tests are started by scripts/agents, in a network namespace of their own", returncode=2)


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    house = houses.House(houses.default_binary(), tmp_path_factory.mktemp("house"))
    yield house
    house.stop()
