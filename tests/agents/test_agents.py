"""Claude Code and Cline answer through the gateway, are billed, and show a refusal to the person within seconds."""

import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import shlex
import subprocess
import time
import types

import pytest
from conftest import AUDIENCE
from house import EXAMPLE, EXPIRED_KEY, HAIKU, OF_AWS, REGION, REVOKED_KEY, SESSION_TOKEN, SIGNING, SONNET, WRONG_SECRET
from house import access_key, arn, bearer, clean_environment
from on_the_way import Between

AGENTS = pathlib.Path(os.environ["TOLLGATE_AGENTS"])
PROMPT = "Say hello."
REPLY = "This answer comes from a look-alike of Amazon Bedrock"
# From the start of the process to its end. Starting alone takes Cline three seconds, and several times that on a busy
# machine; an agent that tries again in silence takes minutes. How often it tried is counted besides.
SECONDS_TO_SEE_A_REFUSAL = 30
# Claude Code then shows no credential and looks for none.
NO_CREDENTIAL = {"CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1"}


@dataclasses.dataclass
class Said:
    text: str
    status: int
    seconds: float


def run(command, environment, folder):
    project = folder / "project"
    project.mkdir(exist_ok=True)
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
    except subprocess.TimeoutExpired as late:
        return Said((late.stdout or b"").decode(), -1, time.monotonic() - started)
    return Said(done.stdout, done.returncode, time.monotonic() - started)


def claude_code(gateway, folder, credential, model, before=(), settings=None):
    """As its documentation says: Bedrock, a base URL, a credential in the environment. Plain HTTP will do."""
    environment = clean_environment(folder) | {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": gateway.http,
        "AWS_REGION": REGION,
        "ANTHROPIC_MODEL": model,
        "DISABLE_AUTOUPDATER": "1",
    }
    if settings:
        (folder / ".claude").mkdir()
        (folder / ".claude" / "settings.json").write_text(json.dumps(settings))
    return run([*before, AGENTS / "claude", "-p", PROMPT], environment | credential, folder)


def cline(gateway, folder, credential, model, before=()):
    """Its command line has no flag for a Bedrock endpoint; the settings file of its editor extension has."""
    settings = {"provider": "bedrock", "model": model, "region": REGION}
    aws = {"region": REGION, "endpoint": gateway.http}
    if "AWS_BEARER_TOKEN_BEDROCK" in credential:
        settings["apiKey"] = credential["AWS_BEARER_TOKEN_BEDROCK"]
        aws["authentication"] = "api-key"
    else:
        aws["authentication"] = "iam"
        aws |= {CLINE_CALLS_IT[name]: value for name, value in credential.items()}
    entry = {"settings": settings | {"aws": aws}, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}
    providers = {"version": 1, "lastUsedProvider": "bedrock", "modes": {}, "providers": {"bedrock": entry}}
    data = folder / "data"
    (data / "settings").mkdir(parents=True)
    (data / "settings" / "providers.json").write_text(json.dumps(providers))
    command = [*before, AGENTS / "cline", "--json", "--data-dir", data, "-c", folder / "project", PROMPT]
    return run(command, clean_environment(folder), folder)


CLINE_CALLS_IT = {
    "AWS_ACCESS_KEY_ID": "accessKey",
    "AWS_SECRET_ACCESS_KEY": "secretKey",
    "AWS_SESSION_TOKEN": "sessionToken",
}
ANSWERS = {claude_code: "InvokeModelWithResponseStream", cline: "ConverseStream"}
agents = pytest.mark.parametrize("agent", ANSWERS, ids=["claude-code", "cline"])
MODELS = {"model id": SONNET, "own ARN": arn("alicesonnet1")}
models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@contextlib.contextmanager
def asking(house):
    """Fills a count of how often which operation is asked for."""
    before, asked = asked_by_operation(house), collections.Counter()
    yield asked
    asked.update(asked_by_operation(house) - before)


def asked_by_operation(house):
    asked = collections.Counter()
    for (family, labels), count in house.gateway.metrics().items():
        if family == "tollgate_requests_total":
            asked[dict(labels)["operation"]] += int(count)
    return asked


def assert_answered(said, seen, agent):
    """The person reads the answer, and the bill has every call under alice's name."""
    assert REPLY in said.text, said
    assert said.status == 0
    answered = [request for request in seen.upstream if request["operation"] == ANSWERS[agent]]
    assert answered and all(request["billed_to"] == arn("alicesonnet1") for request in answered)
    assert all(request["guardrail"] for request in answered)
    for kind, count in seen.tokens.items():
        assert count == sum(request["usage"][kind] for request in seen.upstream), kind
    assert seen.tokens["output"] > 0
    assert seen.payers == {"alice": len(seen.upstream)}


def assert_told(said, seen, asked, agent, words, reason):
    """The person reads why not within seconds, and the agent has not tried again in vain."""
    assert words in said.text, said
    assert said.seconds < SECONDS_TO_SEE_A_REFUSAL
    assert said.status != 0
    assert REPLY not in said.text
    assert seen.refusals[reason] >= 1
    # After a 400 Claude Code asks once more in another form: with all its tools written out.
    assert asked[ANSWERS[agent]] == (2 if (agent, reason) == (claude_code, "guardrail_missing") else 1)
    # Claude Code first asks one token of every model it knows, and some of those may be the caller's.
    assert not any(request["operation"] == ANSWERS[agent] for request in seen.upstream)


@agents
@pytest.mark.parametrize("caller", ["alice", SIGNING])
@models
def test_an_agent_answers_and_is_billed(house, agent, caller, model, tmp_path):
    with house.watch() as seen, asking(house) as asked:
        said = agent(house.gateway, tmp_path, house.gateway.credentials[caller], model)

    assert_answered(said, seen, agent)
    # Some of the models that Claude Code tries at its start are not hers. Nothing lacked a credential.
    assert set(seen.refusals) <= {"model_unmapped"}
    if agent is claude_code:
        assert asked["ListInferenceProfiles"] == 1
        assert asked["GetInferenceProfile"] == (model != SONNET)


REFUSALS = {
    "a model without a profile": ("alice", HAIKU, HAIKU, "model_unmapped"),
    "a wrong key": ("nobody", SONNET, "the key is mistyped", "unknown_key"),
    "an exhausted budget": ("bob", SONNET, "pocket-money", "budget_exhausted"),
    "a guardrail that is not there": ("dave", SONNET, "guardrail", "guardrail_missing"),
    "a wrong secret": (WRONG_SECRET, SONNET, "does not match the signature you provided", "invalid_signature"),
    "an expired access key": (EXPIRED_KEY, SONNET, "was good until", "expired_key"),
    "a revoked access key": (REVOKED_KEY, SONNET, "is not known here, or no longer", "unknown_key"),
    "an access key of AWS's own": (OF_AWS, SONNET, "it is an access key of AWS", "unknown_key"),
    "a session token": (SESSION_TOKEN, SONNET, "is AWS_SESSION_TOKEN still set", "unknown_key"),
}


@agents
@pytest.mark.parametrize("what", REFUSALS)
def test_an_agent_shows_a_refusal_within_seconds(house, agent, what, tmp_path):
    caller, model, words, reason = REFUSALS[what]
    with house.watch(caller) as seen, asking(house) as asked:
        said = agent(house.gateway, tmp_path, house.gateway.credentials[caller], model)

    assert_told(said, seen, asked, agent, words, reason)


# What is changed on the way: one letter of the body, or of a header that every signer signs.
CHANGES = {"the body": {b"Say hello.": b"Say heLlo."}, "a header": {b"ost: 127.0.0.1": b"ost: 127.0.0.2"}}


@agents
@pytest.mark.parametrize("what", CHANGES)
def test_an_agent_says_so_when_something_on_the_way_changes_what_it_signed(house, agent, what, tmp_path):
    with Between(house.gateway.http, CHANGES[what]) as between, house.watch() as seen, asking(house) as asked:
        gateway = types.SimpleNamespace(http=between.url)
        said = agent(gateway, tmp_path, house.gateway.credentials[SIGNING], SONNET)

    assert between.changed > 0
    assert_told(said, seen, asked, agent, "does not match", "invalid_signature")


# Debian's libfaketime; the loader puts the machine's folder of libraries in the place of $LIB.
FAKETIME = "/usr/$LIB/faketime/libfaketimeMT.so.1"


@agents
@pytest.mark.parametrize("offset", ["-10m", "+10m"])
def test_an_agent_whose_clock_is_wrong_says_so_within_seconds(house, agent, offset, tmp_path):
    """Claude Code corrects its clock where an AWS SDK asks, for the list of models, and not where it asks itself."""
    words = {"-10m": "Signature expired: ", "+10m": "Signature not yet current: "}[offset]
    clock = ["env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME={offset}", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
    with house.watch() as seen, asking(house) as asked:
        said = agent(house.gateway, tmp_path, house.gateway.credentials[SIGNING], SONNET, before=clock)

    assert_told(said, seen, asked, agent, words, "invalid_signature")


@models
def test_claude_code_needs_no_credential_where_whoever_connects_is_known(trusting, model, tmp_path):
    with trusting.watch() as seen, asking(trusting) as asked:
        said = claude_code(trusting.gateway, tmp_path, NO_CREDENTIAL, model)

    assert_answered(said, seen, claude_code)
    assert seen.refusals == {}
    assert asked["ListInferenceProfiles"] == 1
    assert asked["GetInferenceProfile"] == (model != SONNET)


@agents
@pytest.mark.parametrize("credential", [access_key(*EXAMPLE), bearer("any")], ids=["signed", "bearer"])
def test_an_agent_may_show_any_credential_where_whoever_connects_is_known(trusting, agent, credential, tmp_path):
    with trusting.watch() as seen:
        said = agent(trusting.gateway, tmp_path, credential, SONNET)

    assert_answered(said, seen, agent)


@models
def test_claude_code_without_a_credential_says_what_is_missing(house, model, tmp_path):
    with house.watch() as seen, asking(house) as asked:
        said = claude_code(house.gateway, tmp_path, NO_CREDENTIAL, model)

    assert_told(said, seen, asked, claude_code, "send the key you were given for this gateway", "missing_credentials")
    # The list of models, the profile behind an ARN, and the answer: each once.
    assert seen.refusals == {"missing_credentials": 2 if model == SONNET else 3}


def helped_by(command):
    """Has Claude Code ask a program for what it shows; on Bedrock it does so only with NO_CREDENTIAL."""
    return {"apiKeyHelper": shlex.join(str(word) for word in command)}


@models
def test_claude_code_shows_what_its_helper_prints(house, model, tmp_path):
    key = tmp_path / "key"
    key.write_text(house.gateway.keys["alice"])
    with house.watch() as seen:
        said = claude_code(house.gateway, tmp_path, NO_CREDENTIAL, model, settings=helped_by(["cat", key]))

    assert_answered(said, seen, claude_code)
    # What it asks at its start carries no credential, and it goes on without an answer.
    assert seen.refusals == {"missing_credentials": 1 if model == SONNET else 2}


def test_claude_code_says_that_what_its_helper_prints_is_refused(house, tmp_path):
    helper = helped_by(["echo", house.gateway.keys["nobody"]])
    with house.watch() as seen, asking(house) as asked:
        said = claude_code(house.gateway, tmp_path, NO_CREDENTIAL, SONNET, settings=helper)

    assert_told(said, seen, asked, claude_code, "the key is mistyped", "unknown_key")


def token_command(house):
    """Makes a token of AWS's example of an access key, which the STS of these tests takes for alice's role."""
    role = [f"{name}={value}" for name, value in access_key(*EXAMPLE).items()]
    return ["env", *role, house.gateway.tollgate, "token", "--audience", AUDIENCE, "--region", REGION]


def test_claude_code_shows_the_aws_role_that_its_helper_proves(logins, tmp_path):
    with logins.watch() as seen:
        said = claude_code(logins.gateway, tmp_path, NO_CREDENTIAL, SONNET, settings=helped_by(token_command(logins)))

    assert_answered(said, seen, claude_code)
    assert seen.refusals == {"missing_credentials": 1}


@models
def test_claude_code_started_by_tollgate_token_shows_an_aws_role(logins, model, tmp_path):
    before = [*token_command(logins), "--gateway", logins.gateway.http, "--exec", "--"]
    with logins.watch() as seen, asking(logins) as asked:
        said = claude_code(logins.gateway, tmp_path, {}, model, before=before)

    assert_answered(said, seen, claude_code)
    assert set(seen.refusals) <= {"model_unmapped"}
    assert asked["ListInferenceProfiles"] == 1


def test_claude_code_started_by_tollgate_token_says_that_no_roles_are_taken(house, tmp_path):
    before = [*token_command(house), "--gateway", house.gateway.http, "--exec", "--"]
    with house.watch() as seen, asking(house) as asked:
        said = claude_code(house.gateway, tmp_path, {}, SONNET, before=before)

    assert_told(said, seen, asked, claude_code, "it is a token of an AWS login", "invalid_token")


@agents
def test_whoever_has_no_profile_gets_one_with_their_first_call(agent, vending, tmp_path):
    """Claude Code probes models before it calls, and asks for the list of profiles; no more is made than is asked for."""
    said = agent(vending.gateway, tmp_path, vending.gateway.credentials["carol"], SONNET)
    assert REPLY in said.text, said.text
    asked = [request for request in vending.bedrock.received() if request["operation"] == "CreateInferenceProfile"]
    made = [json.loads(vending.bedrock.body(request)) for request in asked if request["status"] == 201]
    tags = [{tag["key"]: tag["value"] for tag in profile["tags"]} for profile in made]
    sources = [tag["tollgate:source"] for tag in tags]
    assert SONNET in sources and len(sources) == len(set(sources)), made
    assert {tag["tollgate:owner"] for tag in tags} == {"carol"}
    billed = vending.bedrock.account()["by_profile"]
    assert billed and all(":application-inference-profile/" in name for name in billed), billed
    assert set(vending.gateway.payers()) == {"carol"}
