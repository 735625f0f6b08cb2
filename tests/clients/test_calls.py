"""What every client must be able to do through the gateway, and what must have happened behind it."""

import json
import urllib.parse

import adapters
import pytest
from house import GUARDRAIL, NOVA, PLAYLIST, SIGNING, SONNET, arn, unsplice

EVERY_CALL = [
    pytest.param(client, operation, caller, id=f"{client.name}-{operation}-{caller}")
    for clients, caller in ((adapters.CLIENTS, "alice"), (adapters.SIGNERS, SIGNING))
    for client in clients
    for operation in client.operations
]
PROMPT = "How does a toll bridge work?"
REPLY = "This answer comes from a look-alike of Amazon Bedrock:"


@pytest.mark.parametrize(("client", "operation", "caller"), EVERY_CALL, indirect=["client"])
def test_a_call_goes_through_the_callers_own_profile_and_is_counted(house, client, operation, caller):
    with house.watch("alice") as seen:
        answer = client.call(operation, caller, SONNET, PROMPT)

    (request,), (body,) = seen.upstream, seen.bodies
    assert (request["operation"], request["status"], seen.attempts) == (operation, 200, 1)
    assert_answered(operation, answer, request)
    assert urllib.parse.unquote(request["path"]) == expected_path(operation)
    assert_guarded(operation, request)
    assert_same_bytes(operation, answer.sent, body)
    assert_no_credential_of_the_callers(house, request, body)
    billed = {kind: count for kind, count in request["usage"].items() if count}
    assert {kind: count for kind, count in seen.tokens.items() if count} == billed
    assert seen.payers == {"alice": 1}


def assert_answered(operation, answer, request):
    if operation == adapters.APPLY_GUARDRAIL:
        assert answer.stop == "NONE"
        return
    if operation == adapters.COUNT_TOKENS:
        assert answer.usage == {"input": -(-len(PROMPT) // 4), "output": 0}
        return
    assert answer.text.startswith(REPLY)
    assert answer.stop == "end_turn"
    usage = request["usage"]
    assert usage["output"] > 0
    assert answer.usage == {"input": usage["input"], "output": usage["output"]}


def expected_path(operation):
    suffixes = {
        adapters.INVOKE: "invoke",
        adapters.INVOKE_STREAM: "invoke-with-response-stream",
        adapters.CONVERSE: "converse",
        adapters.CONVERSE_STREAM: "converse-stream",
    }
    if operation == adapters.COUNT_TOKENS:
        return f"/model/{SONNET.removeprefix('us.')}/count-tokens"
    if operation == adapters.APPLY_GUARDRAIL:
        return "/guardrail/{}/version/{}/apply".format(*GUARDRAIL)
    return f"/model/{arn('alicesonnet1')}/{suffixes[operation]}"


def assert_guarded(operation, request):
    if operation in (adapters.COUNT_TOKENS, adapters.APPLY_GUARDRAIL):
        return
    identifier, version = GUARDRAIL
    assert request["guardrail"]["identifier"] == identifier
    assert request["guardrail"]["version"] == version


def assert_same_bytes(operation, sent, received):
    if sent is None:
        return
    if operation not in (adapters.CONVERSE, adapters.CONVERSE_STREAM):
        assert received == sent
        return
    inserted = unsplice(sent, received)
    identifier, version = GUARDRAIL
    given = json.loads(received).pop("guardrailConfig")
    assert (given["guardrailIdentifier"], given["guardrailVersion"]) == (identifier, version)
    assert json.loads(received) == json.loads(sent) | {"guardrailConfig": given}
    assert inserted.count(b"guardrailConfig") == 1


def assert_no_credential_of_the_callers(house, request, body):
    names = {name.lower(): value for name, value in request["headers"]}
    assert "x-api-key" not in names
    assert names["authorization"].startswith("AWS4-HMAC-SHA256")
    passed_on = json.dumps(request["headers"]).encode() + body
    assert not any(secret.encode() in passed_on for secret in house.gateway.secrets())
    assert house.gateway.credentials[SIGNING]["AWS_ACCESS_KEY_ID"].encode() not in passed_on


STREAMS = [
    pytest.param(client, operation, id=f"{client.name}-{operation}")
    for client in adapters.CLIENTS
    for operation in client.operations
    if operation.endswith("Stream")
]


@pytest.mark.parametrize(("client", "operation"), STREAMS, indirect=["client"])
def test_a_long_stream_runs_to_its_end(house, client, operation):
    prompt = "[[mock:reply-tokens=400 drip=2 chunk-bytes=700]]"
    with house.watch("alice") as seen:
        answer = client.call(operation, "alice", "sonnet", prompt, max_tokens=400)
    (request,) = seen.upstream
    assert request["ended"] == "complete"
    assert answer.usage["output"] == request["usage"]["output"] == 400
    assert seen.tokens["output"] == 400


@pytest.mark.parametrize(
    "name",
    [SONNET, SONNET.removeprefix("us."), "sonnet", "alice-sonnet", arn("alicesonnet1")],
    ids=["system-defined profile", "foundation model", "alias", "profile name", "own ARN"],
)
def test_every_name_that_means_the_callers_profile_leads_to_it(house, boto, name):
    with house.watch("alice") as seen:
        boto.call(adapters.CONVERSE, "alice", name, PROMPT)
    assert seen.upstream[0]["billed_to"] == arn("alicesonnet1")


def test_boto3_reads_the_token_counts_from_the_headers(house, boto):
    with house.watch("alice") as seen:
        answer = boto.call(adapters.INVOKE, "alice", SONNET, PROMPT)
    headers = answer.raw["ResponseMetadata"]["HTTPHeaders"]
    usage = seen.upstream[0]["usage"]
    assert int(headers["x-amzn-bedrock-input-token-count"]) == usage["input"]
    assert int(headers["x-amzn-bedrock-output-token-count"]) == usage["output"]
    assert answer.raw["ResponseMetadata"]["RequestId"] == seen.upstream[0]["request_id"]


@pytest.mark.parametrize("caller", ["alice", SIGNING])
def test_boto3_converses_through_a_prompt_that_a_rule_names(house, boto, caller):
    client = boto.client(caller)
    asked = {"modelId": PLAYLIST, "promptVariables": {"genre": {"text": "pop"}}}
    with house.watch("alice") as seen:
        answer = client.converse(**asked)
        streamed = list(client.converse_stream(**asked)["stream"])
    usage = answer["usage"]
    assert answer["output"]["message"]["content"][0]["text"].startswith(REPLY)
    # "Make me a pop playlist.", four letters a token.
    assert usage["inputTokens"] == 6 and usage["outputTokens"] > 0
    assert streamed[-1]["metadata"]["usage"] == usage
    assert [urllib.parse.unquote(request["path"]) for request in seen.upstream] == [
        f"/model/{PLAYLIST}/converse",
        f"/model/{PLAYLIST}/converse-stream",
    ]
    for request in seen.upstream:
        assert_guarded(adapters.CONVERSE, request)
    assert (seen.tokens["input"], seen.tokens["output"]) == (12, 2 * usage["outputTokens"])


def test_a_prompt_is_nobody_elses_and_no_other_version_is_called(boto):
    for caller, prompt in (("carol", PLAYLIST), ("alice", PLAYLIST.removesuffix(":3")), ("alice", f"{PLAYLIST}3")):
        client = boto.client(caller)
        with pytest.raises(client.exceptions.AccessDeniedException) as refused:
            client.converse(modelId=prompt, promptVariables={"genre": {"text": "pop"}})
        assert refused.value.response["ResponseMetadata"]["HTTPHeaders"]["x-tollgate-reason"] == "model_refused_kind"


@pytest.mark.parametrize("caller", ["alice", SIGNING])
def test_the_control_plane_shows_callers_their_own_profiles_and_no_others(boto, caller):
    bedrock = boto.client(caller, "bedrock")
    listed = bedrock.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"]
    assert {profile["inferenceProfileArn"] for profile in listed} == {arn("alicesonnet1"), arn("alicenova001")}
    described = bedrock.get_inference_profile(inferenceProfileIdentifier=arn("alicesonnet1"))
    assert described["type"] == "APPLICATION"
    models = [model["modelArn"] for model in described["models"]]
    assert models and all(model.endswith(SONNET.removeprefix("us.")) for model in models)
    with pytest.raises(bedrock.exceptions.ClientError) as refused:
        bedrock.get_inference_profile(inferenceProfileIdentifier=arn("bobsonnet001"))
    assert "bob" not in str(refused.value).replace(arn("bobsonnet001"), "")


@pytest.mark.parametrize("caller", ["alice", SIGNING])
def test_the_control_plane_shows_callers_the_models_behind_their_own_profiles(boto, caller):
    bedrock = boto.client(caller, "bedrock")
    sonnet, nova = SONNET.removeprefix("us."), NOVA.removeprefix("us.")
    listed = bedrock.list_foundation_models()["modelSummaries"]
    assert {model["modelId"] for model in listed} == {sonnet, nova}
    by_maker = bedrock.list_foundation_models(byProvider="Anthropic", byOutputModality="TEXT", byInferenceType="ON_DEMAND")
    assert [model["modelName"] for model in by_maker["modelSummaries"]] == ["Claude Sonnet 4.5"]
    assert bedrock.list_foundation_models(byProvider="Mistral AI")["modelSummaries"] == []
    details = bedrock.get_foundation_model(modelIdentifier=sonnet)["modelDetails"]
    assert details == by_maker["modelSummaries"][0]
    assert details["modelLifecycle"]["status"] == "ACTIVE" and details["responseStreamingSupported"]
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.get_foundation_model(modelIdentifier="meta.llama3-3-70b-instruct-v1:0")
    with pytest.raises(bedrock.exceptions.ValidationException):
        bedrock.list_foundation_models(byOutputModality="SMELL")


def test_a_guardrail_that_steps_in_is_seen_by_the_client_and_the_model_is_not_paid_for(house, client):
    operation = adapters.CONVERSE if adapters.CONVERSE in client.operations else adapters.INVOKE_STREAM
    with house.watch("alice") as seen:
        answer = client.call(operation, "alice", SONNET, "[[mock:guardrail-intervened]]")
    assert seen.upstream[0]["billable"] == "guardrail-only"
    assert BLOCKED in answer.text
    if operation == adapters.CONVERSE:
        assert answer.stop == "guardrail_intervened"
        assert not any(seen.tokens.values())
    else:
        # Without a trace an Invoke stream does not tell whether the model was asked: it is paid at the reservation.
        assert seen.at_reservation == 1


def test_a_trace_tells_an_invoke_that_was_blocked_from_one_that_was_masked(house, boto):
    client = boto.client("alice")
    asked = adapters.operation_input(adapters.INVOKE, SONNET, "[[mock:guardrail-intervened]]", 64)
    with house.watch("alice") as seen:
        answer = json.loads(client.invoke_model(**asked, trace="ENABLED")["body"].read())
    assert answer["content"][0]["text"] == BLOCKED
    assert seen.upstream[0]["guardrail"]["trace"]
    assert seen.at_reservation == 0
    assert not any(seen.tokens.values())


BLOCKED = "Sorry, the model cannot answer this question."
