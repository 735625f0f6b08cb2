"""One look-alike and one gateway for the whole run; the clients are parameters."""

import os

import adapters
import house as houses
import pytest


def pytest_configure():
    binary = houses.default_binary()
    if not os.access(binary, os.X_OK):
        pytest.exit(f"{binary} is absent: run `cargo build`, or name a binary in TOLLGATE_BIN", returncode=2)


@pytest.fixture(scope="session", autouse=True)
def only_our_environment(tmp_path_factory):
    """Clients in this process read the environment too."""
    clean = houses.clean_environment(tmp_path_factory.mktemp("home"))
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(clean)
    yield clean
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    house = houses.House(houses.default_binary(), tmp_path_factory.mktemp("house"))
    yield house
    house.stop()


@pytest.fixture(params=adapters.CLIENTS, ids=lambda client: client.name)
def client(request, house, only_our_environment, tmp_path):
    return request.param(house.gateway, only_our_environment | {"HOME": str(tmp_path)})


@pytest.fixture
def boto(house, only_our_environment):
    return adapters.Boto3(house.gateway, only_our_environment)
