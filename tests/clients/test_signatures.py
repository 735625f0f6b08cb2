"""Clients that sign with an access key of the gateway's: what does not hold is refused at once, in words that help."""

import base64
import dataclasses
import datetime
import json

import adapters
import aws_bedrock_token_generator
import frameworks
import house as houses
import pytest
from house import SIGNING, SONNET
from on_the_way import Between

PROMPT = "May I pass?"
UNRECOGNIZED = ("UnrecognizedClientException", "unknown_key")
EXPIRED = ("ExpiredTokenException", "expired_key")
INVALID = ("InvalidSignatureException", "invalid_signature")
MISMATCH = "does not match the signature you provided. Check your AWS Secret Access Key and signing method"
TOO_OLD = r"Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)"
TOO_NEW = r"Signature not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 5 min\.\)"
TEN_MINUTES = 600


@dataclasses.dataclass(frozen=True)
class Case:
    """Who signs, with which clock, and what becomes of it: the AWS SDKs' error, its reason in the metrics, and its words."""

    refusal: tuple
    words: str
    caller: str = SIGNING
    ahead: int = 0


REFUSALS = {
    "a wrong secret": Case(INVALID, MISMATCH, houses.WRONG_SECRET),
    "a slow clock": Case(INVALID, TOO_OLD, ahead=-TEN_MINUTES),
    "a fast clock": Case(INVALID, TOO_NEW, ahead=TEN_MINUTES),
    "an expired key": Case(EXPIRED, "was good until", houses.EXPIRED_KEY),
    "a revoked key": Case(UNRECOGNIZED, "is not known here, or no longer", houses.REVOKED_KEY),
    "a key of AWS's own": Case(UNRECOGNIZED, "it is an access key of AWS", houses.OF_AWS),
    "a session token": Case(UNRECOGNIZED, "is AWS_SESSION_TOKEN still set", houses.SESSION_TOKEN),
}


def operation_of(client):
    """A whole answer over plain HTTP, a stream over TLS where the client has streams."""
    is_aws = adapters.CONVERSE in client.operations
    whole, streamed = ("Converse", "ConverseStream") if is_aws else ("InvokeModel", "InvokeModelWithResponseStream")
    return streamed if streamed in client.operations and not client.plain else whole


def corrects_its_clock(client):
    """The SDK for JavaScript sets it by the `Date` of any answer that comes."""
    return issubclass(client, adapters.JavaScript)


@pytest.mark.parametrize(
    ("client", "what"),
    [
        pytest.param(client, what, id=f"{client.name}-{what}")
        # All but the AWS CLI over plain HTTP, which takes long to start and is no other there than boto3.
        for client in (*adapters.CLIENTS, adapters.Boto3Plain)
        for what, case in REFUSALS.items()
        if not (case.ahead and corrects_its_clock(client))
    ],
    indirect=["client"],
)
def test_what_does_not_hold_is_the_clients_own_error_after_one_attempt(house, client, what):
    case = REFUSALS[what]
    client.ahead = case.ahead
    with house.watch() as seen:
        assert_refused(client, case.caller, case.refusal, case.words)
    assert (seen.attempts, seen.refusals, seen.upstream) == (1, {case.refusal[1]: 1}, [])


def assert_refused(client, caller, refusal, words):
    with pytest.raises(adapters.Refused, match=words) as refused:
        client.call(operation_of(client), caller, SONNET, PROMPT)
    assert refused.value.kind == getattr(client, "refuses_with", refusal[0])
    assert refused.value.status in (401, None)


@pytest.mark.parametrize("client", [adapters.JavaScriptH2c, adapters.JavaScriptTls], indirect=True)
@pytest.mark.parametrize("ahead", [-TEN_MINUTES, TEN_MINUTES])
def test_the_sdk_for_javascript_corrects_its_clock_and_gets_through_at_the_second_attempt(house, client, ahead):
    client.ahead = ahead
    with house.watch() as seen:
        answer = client.call(operation_of(client), SIGNING, SONNET, PROMPT)
    assert answer.usage["output"] > 0
    assert (seen.attempts, seen.refusals, len(seen.upstream)) == (2, {"invalid_signature": 1}, 1)


@pytest.mark.parametrize("ahead", [-280, 280])
def test_a_clock_may_be_off_by_almost_five_minutes(boto, ahead):
    boto.ahead = ahead
    assert boto.call(adapters.CONVERSE, SIGNING, SONNET, PROMPT).usage["output"] > 0


# What is changed on the way: nothing, one letter of the body, or one of `Content-Type: application/json`. HTTP/2 has that
# in Huffman's code, in which `a` and `c` are of one length.
CHANGES = {
    "nothing": {},
    "the body": {b"May I pass?": b"May I paSs?"},
    "a header": {b": application/json\r\n": b": cpplication/json\r\n", b"\x1d\x75\xd0\x62": b"\x25\x75\xd0\x62"},
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("client", [client for client in adapters.SIGNERS if client.plain], indirect=True)
def test_a_request_that_something_on_the_way_changes_is_refused_after_one_attempt(house, client, what):
    with Between(client.url, CHANGES[what]) as between, house.watch() as seen:
        client.url = between.url
        if what == "nothing":
            client.call(operation_of(client), SIGNING, SONNET, PROMPT)
        else:
            assert_refused(client, SIGNING, INVALID, "does not match")
    assert (between.changed > 0) == (what != "nothing")
    assert (seen.attempts, seen.refusals) == (1, {} if what == "nothing" else {"invalid_signature": 1})


@pytest.mark.parametrize(
    ("client", "operation"),
    [
        pytest.param(client, operation, id=f"{client.name}-{operation}")
        for client in frameworks.LIBRARIES
        for operation in client.operations
    ],
    indirect=["client"],
)
def test_libraries_on_top_of_bedrock_sign_as_the_sdks_do(house, client, operation):
    with house.watch() as seen:
        answer = client.call(operation, SIGNING, SONNET, PROMPT)
    (request,) = seen.upstream
    assert request["operation"] == operation
    assert answer.usage == {kind: request["usage"][kind] for kind in ("input", "output")}
    assert answer.text
    assert seen.payers == {"alice": 1}


libraries = pytest.mark.parametrize("client", frameworks.LIBRARIES, ids=lambda client: client.name, indirect=True)


@libraries
@pytest.mark.parametrize("what", REFUSALS)
def test_libraries_on_top_of_bedrock_tell_what_does_not_hold_after_one_attempt(house, client, what):
    case = REFUSALS[what]
    client.ahead = case.ahead
    with house.watch() as seen:
        assert_refused(client, case.caller, case.refusal, case.words)
    assert (seen.attempts, seen.refusals, seen.upstream) == (1, {case.refusal[1]: 1}, [])


# They sign fewer headers, and this one always.
OTHER_HOST = {b"ost: 127.0.0.1": b"ost: 127.0.0.2"}


@libraries
@pytest.mark.parametrize("changes", [{}, CHANGES["the body"], OTHER_HOST], ids=CHANGES)
def test_libraries_on_top_of_bedrock_tell_that_something_on_the_way_changed_what_they_signed(house, client, changes):
    with Between(house.gateway.http, changes) as between, house.watch() as seen:
        client.url = between.url
        if changes:
            assert_refused(client, SIGNING, INVALID, "does not match")
        else:
            assert client.call(client.operations[0], SIGNING, SONNET, PROMPT).text
    assert (between.changed > 0) == bool(changes)
    assert (seen.attempts, seen.refusals) == (1, {"invalid_signature": 1} if changes else {})


def test_a_presigned_request_holds_for_what_was_signed_and_for_nothing_else(house, boto):
    boto.url = house.gateway.http
    parameters = {"typeEquals": "APPLICATION"}
    url = boto.client(SIGNING, "bedrock").generate_presigned_url("list_inference_profiles", Params=parameters)
    answer = json.loads(houses.fetch(url))
    listed = {profile["inferenceProfileName"] for profile in answer["inferenceProfileSummaries"]}
    assert listed == {"alice-sonnet", "alice-nova"}
    other = json.loads(houses.fetch(url.replace("APPLICATION", "SYSTEM_DEFINED")))
    assert MISMATCH in other["message"]


def last_digit_changed(url):
    signed, version, rest = url.partition("&Version=")
    return signed[:-1] + ("0" if signed[-1] != "0" else "1") + version + rest


def good_for_longer(url):
    assert "X-Amz-Expires=3600&" in url
    return url.replace("X-Amz-Expires=3600&", "X-Amz-Expires=43200&")


# How a short-term key is made with AWS's own generator and what is changed of it, and what becomes of it.
SHORT_TERM = {
    "its signature changed": ({"change": last_digit_changed}, Case(INVALID, MISMATCH)),
    "good for longer than it was made for": ({"hours": 1, "change": good_for_longer}, Case(INVALID, MISMATCH)),
    "twelve hours old": ({"ahead": -12 * 3600 - 1}, Case(EXPIRED, "it was good until")),
    "made of a wrong secret": ({}, Case(INVALID, MISMATCH, houses.WRONG_SECRET)),
    "made of an expired key": ({}, Case(EXPIRED, "was good until", houses.EXPIRED_KEY)),
    "made of a revoked key": ({}, Case(UNRECOGNIZED, "is not known here, or no longer", houses.REVOKED_KEY)),
    "made of a key of AWS's own": ({}, Case(UNRECOGNIZED, "it is an access key of AWS", houses.OF_AWS)),
    "made with a session token": ({}, Case(UNRECOGNIZED, "temporary credentials", houses.SESSION_TOKEN)),
}
SHORT_TERM_KEY = "a short-term key"


def short_term_key(credential, ahead=0, hours=12, change=lambda url: url):
    adapters.show(credential)
    with adapters.botocore_clock(ahead):
        key = aws_bedrock_token_generator.provide_token(houses.REGION, expiry=datetime.timedelta(hours=hours))
    prefix = "bedrock-api-key-"
    url = base64.b64decode(key.removeprefix(prefix)).decode()
    return houses.bearer(prefix + base64.b64encode(change(url).encode()).decode())


@pytest.mark.parametrize("hours", [1, 12])
def test_a_short_term_key_made_of_an_access_key_is_its_owners(house, boto, monkeypatch, hours):
    credentials = house.gateway.credentials
    monkeypatch.setitem(credentials, SHORT_TERM_KEY, short_term_key(credentials[SIGNING], hours=hours))
    with house.watch() as seen:
        boto.call(adapters.CONVERSE_STREAM, SHORT_TERM_KEY, SONNET, PROMPT)
    assert (seen.attempts, seen.payers) == (1, {"alice": 1})


@pytest.mark.parametrize("what", SHORT_TERM)
def test_a_short_term_key_that_does_not_hold_is_refused_after_one_attempt(house, boto, monkeypatch, what):
    making, case = SHORT_TERM[what]
    credentials = house.gateway.credentials
    monkeypatch.setitem(credentials, SHORT_TERM_KEY, short_term_key(credentials[case.caller], **making))
    with house.watch() as seen:
        assert_refused(boto, SHORT_TERM_KEY, case.refusal, case.words)
    assert (seen.attempts, seen.refusals, seen.upstream) == (1, {case.refusal[1]: 1}, [])
