"""Where the gateway listens and how a client leaves."""

import adapters
import house as houses
import pytest
from house import SONNET, arn


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory):
    """A gateway below a path, as behind a load balancer that serves other things too."""
    house = houses.House(houses.default_binary(), tmp_path_factory.mktemp("prefixed"), base_path="/models/bedrock")
    yield house
    house.stop()


@pytest.mark.parametrize("kind", adapters.CLIENTS, ids=lambda client: client.name)
def test_every_client_finds_a_gateway_below_a_path(prefixed, kind, only_our_environment, tmp_path):
    client = kind(prefixed.gateway, only_our_environment | {"HOME": str(tmp_path)})
    operation = client.operations[0]
    with prefixed.watch("alice") as seen:
        answer = client.call(operation, "alice", SONNET, "Are you there?")
    assert answer.usage["output"] > 0
    assert seen.upstream[0]["billed_to"] == arn("alicesonnet1")
    assert "/models/bedrock" not in seen.upstream[0]["path"]


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
