"""What goes wrong at Bedrock reaches the client as Bedrock says it, and is paid for all the same."""

import adapters
import botocore.exceptions
import pytest
from house import SONNET

STREAMS = [
    pytest.param(client, operation, id=f"{client.name}-{operation}")
    for client in adapters.CLIENTS
    for operation in client.operations
    if operation.endswith("Stream")
]


@pytest.mark.parametrize(("client", "operation"), STREAMS, indirect=["client"])
def test_an_exception_inside_a_stream_is_raised_by_the_client(house, client, operation):
    prompt = "[[mock:exception=throttlingException after=4]]"
    with house.watch("alice") as seen:
        with pytest.raises(adapters.Refused) as raised:
            client.call(operation, "alice", SONNET, prompt)
    assert "Too many requests" in raised.value.message
    if not client.name.startswith("anthropic"):
        assert raised.value.kind.lower() == "throttlingexception"
    assert (seen.attempts, seen.at_reservation) == (1, 1)


@pytest.mark.parametrize(("client", "operation"), STREAMS, indirect=["client"])
def test_a_stream_that_breaks_off_is_never_taken_for_a_whole_answer(house, client, operation):
    with house.watch("alice") as seen:
        with pytest.raises(BROKEN):
            client.call(operation, "alice", SONNET, "[[mock:cut after=4]]")
    assert (seen.attempts, seen.at_reservation) == (1, 1)


@pytest.mark.parametrize("status", [400, 403, 404, 424])
def test_bedrocks_own_refusal_passes_through_untouched(house, boto, status):
    with house.watch("alice") as seen:
        with pytest.raises(adapters.Refused) as refused:
            boto.call(adapters.CONVERSE, "alice", SONNET, f"[[mock:status={status}]]")
    (request,) = seen.upstream
    assert (refused.value.status, refused.value.kind) == (status, request["error"])
    assert seen.refusals == {}
    assert not any(seen.tokens.values())


def test_a_throttled_call_is_tried_again_by_the_client_as_it_is_without_a_gateway(house, boto):
    with house.watch("alice") as seen:
        with pytest.raises(adapters.Refused) as refused:
            boto.call(adapters.CONVERSE, "alice", SONNET, "[[mock:throttle]]")
    assert refused.value.kind == "ThrottlingException"
    assert len(seen.upstream) == seen.attempts > 1


BROKEN = (adapters.Refused, botocore.exceptions.BotoCoreError)
