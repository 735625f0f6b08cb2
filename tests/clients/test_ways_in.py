"""Where the gateway listens and how a client leaves."""

import adapters
import boto3
import botocore.config
import house as houses
import pytest
from house import SONNET, arn


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory):
    """A gateway below a path, as behind a load balancer that serves other things too."""
    folder = tmp_path_factory.mktemp("prefixed")
    house = houses.House(houses.default_binary(), folder, 'base_path = "/models/bedrock"')
    yield house
    house.stop()


WAYS = [
    pytest.param(client, caller, id=f"{client.name}-{caller}")
    for clients, caller in ((adapters.CLIENTS, "alice"), (adapters.SIGNERS, houses.SIGNING))
    for client in clients
]


@pytest.mark.parametrize(("kind", "caller"), WAYS)
def test_every_client_finds_a_gateway_below_a_path(prefixed, kind, caller, only_our_environment, tmp_path):
    client = kind(prefixed.gateway, only_our_environment | {"HOME": str(tmp_path)})
    operation = client.operations[0]
    with prefixed.watch("alice") as seen:
        answer = client.call(operation, caller, arn("alicesonnet1"), "Are you there?")
    assert answer.usage["output"] > 0
    assert seen.upstream[0]["billed_to"] == arn("alicesonnet1")
    assert "/models/bedrock" not in seen.upstream[0]["path"]


@pytest.fixture(scope="module")
def trusting(tmp_path_factory):
    """A gateway that takes everybody who can reach it for alice."""
    house = houses.House(houses.default_binary(), tmp_path_factory.mktemp("trusting"), 'principal = "alice"')
    yield house
    house.stop()


def test_a_trusted_connection_needs_no_credential(trusting):
    unsigned = botocore.config.Config(signature_version=botocore.UNSIGNED)
    session = boto3.session.Session(region_name=houses.REGION)
    client = session.client("bedrock-runtime", endpoint_url=trusting.gateway.http, config=unsigned)
    with trusting.watch() as seen:
        client.converse(**adapters.converse_input(SONNET, "Do you know me?", 16))
    assert (seen.attempts, seen.payers) == (1, {"alice": 1})


def test_a_trusted_connection_may_show_any_credential(trusting, only_our_environment):
    client = adapters.Boto3Plain(trusting.gateway, only_our_environment)
    with trusting.watch() as seen:
        client.call(adapters.CONVERSE, houses.OF_AWS, SONNET, "Do you know me?")
    assert (seen.attempts, seen.payers) == (1, {"alice": 1})


@pytest.mark.parametrize("operation", [adapters.INVOKE_STREAM, adapters.CONVERSE_STREAM])
def test_a_client_that_hangs_up_still_pays_for_the_whole_answer(house, boto, operation):
    """AWS bills it, so the gateway reads on to the counts at the end of the stream."""
    client = boto.client("alice")
    asked = adapters.operation_input(operation, SONNET, "[[mock:reply-tokens=60 drip=10]]", 64)
    with house.watch("alice") as seen:
        if operation == adapters.INVOKE_STREAM:
            stream = client.invoke_model_with_response_stream(**asked)["body"]
        else:
            stream = client.converse_stream(**asked)["stream"]
        next(iter(stream))
        stream.close()
    assert seen.upstream[0]["ended"] == "complete"
    assert (seen.tokens["output"], seen.at_reservation) == (60, 0)
