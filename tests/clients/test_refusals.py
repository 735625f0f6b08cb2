"""A refusal reaches the person at once: the client's own exception, a message to act on, a single attempt."""

import time

import adapters
import botocore.exceptions
import pytest
from house import HAIKU, NOVA, SIGNING, SONNET, WRONG_SECRET, arn

# What is refused: the name of the exception in the AWS SDKs, the status, the class in anthropic's client, words of the
# message, and the reason under which it is counted.
REFUSALS = {
    "a wrong key": (
        ("nobody", SONNET),
        ("UnrecognizedClientException", 401, "AuthenticationError"),
        "key",
        "unknown_key",
    ),
    "a profile of somebody else": (
        ("carol", arn("alicesonnet1")),
        ("AccessDeniedException", 403, "PermissionDeniedError"),
        "alicesonnet1",
        "profile_not_yours",
    ),
    "a model without a profile": (
        ("alice", HAIKU),
        ("AccessDeniedException", 403, "PermissionDeniedError"),
        HAIKU,
        "model_unmapped",
    ),
    "an exhausted budget": (
        ("bob", SONNET),
        ("ServiceQuotaExceededException", 402, "PaymentRequiredError"),
        "pocket-money",
        "budget_exhausted",
    ),
    "a guardrail that is not there": (
        ("dave", SONNET),
        ("AccessDeniedException", 400, "BadRequestError"),
        "gr1abc2def3",
        "guardrail_missing",
    ),
}
# Names that the AWS SDKs' model of bedrock-runtime has a class for.
MODELLED = {"AccessDeniedException", "ServiceQuotaExceededException", "ValidationException", "ThrottlingException"}
# Attempts are counted exactly; this only catches a client that sleeps. Starting the AWS CLI alone takes seconds where the
# machine is busy.
AT_ONCE_SECONDS = 20

EVERY_CALL = [
    pytest.param(client, operation, id=f"{client.name}-{operation}")
    for client in adapters.CLIENTS
    for operation in client.operations
    if operation not in (adapters.COUNT_TOKENS, adapters.APPLY_GUARDRAIL)
]


@pytest.mark.parametrize("what", REFUSALS)
@pytest.mark.parametrize(("client", "operation"), EVERY_CALL, indirect=["client"])
def test_a_refusal_is_the_clients_own_exception_after_one_attempt(house, client, operation, what):
    (caller, model), (kind, status, anthropic_class), words, reason = REFUSALS[what]
    started = time.monotonic()
    with house.watch(caller) as seen:
        with pytest.raises(adapters.Refused) as refused:
            client.call(operation, caller, model, "May I pass?")
        took = time.monotonic() - started

    error = refused.value
    assert error.kind == (anthropic_class if client.name.startswith("anthropic") else kind)
    assert error.status in (status, None)
    assert error.typed or kind not in MODELLED
    assert words in error.message
    assert took < AT_ONCE_SECONDS
    assert (seen.attempts, seen.refusals) == (1, {reason: 1})
    assert seen.upstream == []


def test_count_tokens_is_not_stopped_by_an_exhausted_budget(house, boto):
    """It is free: it must not be refused, and it must not be counted."""
    with house.watch("bob") as seen:
        answer = boto.call(adapters.COUNT_TOKENS, "bob", SONNET, "How many?")
    assert answer.usage["input"] > 0
    assert not any(seen.tokens.values())


def test_another_guardrail_than_the_one_owed_is_refused(house, boto):
    client = boto.client("alice")
    with house.watch("alice") as seen:
        with pytest.raises(client.exceptions.ClientError) as refused:
            client.converse(
                **adapters.converse_input(SONNET, "hi", 16),
                guardrailConfig={"guardrailIdentifier": "zz9plural9za", "guardrailVersion": "7"},
            )
    assert "gr1abc2def3 version 1" in str(refused.value)
    assert (seen.attempts, seen.refusals, seen.upstream) == (1, {"guardrail_different": 1}, [])


def test_an_operation_that_is_not_forwarded_is_refused_by_name(house, boto):
    client = boto.client("alice")
    with house.watch("alice") as seen:
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            client.list_async_invokes()
    assert "ListAsyncInvokes" in str(refused.value)
    assert (seen.refusals, seen.upstream) == ({"operation_refused": 1}, [])


def test_people_may_have_a_profile_for_one_model_and_none_for_another(house, boto):
    with house.watch("carol") as seen:
        boto.call(adapters.CONVERSE, "carol", NOVA, "hello")
        with pytest.raises(adapters.Refused):
            boto.call(adapters.CONVERSE, "carol", SONNET, "hello")
    assert [request["billed_to"] for request in seen.upstream] == [arn("carolnova001")]


def test_the_log_holds_neither_a_key_nor_a_prompt(house, boto):
    secret = "the password is xyzzy-plugh"
    for caller in ("alice", SIGNING):
        boto.call(adapters.CONVERSE, caller, SONNET, secret)
    for caller in ("nobody", WRONG_SECRET):
        with pytest.raises(adapters.Refused):
            boto.call(adapters.CONVERSE, caller, SONNET, secret)
    log = house.gateway.log()
    assert "Converse" in log
    assert secret not in log
    assert not any(secret in log for secret in house.gateway.secrets())
