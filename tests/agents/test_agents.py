"""Claude Code and Cline answer through the gateway, are billed, and show a refusal to the person within seconds."""

import dataclasses
import json
import os
import pathlib
import subprocess
import time

import pytest
from house import HAIKU, REGION, SONNET, arn, clean_environment

AGENTS = pathlib.Path(os.environ["TOLLGATE_AGENTS"])
REPLY = "This answer comes from a look-alike of Amazon Bedrock"
# From the start of the process to its end. Starting alone takes Cline three seconds, and several times that on a busy
# machine; an agent that tries again in silence takes minutes.
SECONDS_TO_SEE_A_REFUSAL = 30


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


def claude_code(gateway, folder, caller, model, prompt):
    """As its documentation says: Bedrock, a base URL, a bearer token. Plain HTTP will do."""
    environment = clean_environment(folder) | {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": gateway.http,
        "AWS_BEARER_TOKEN_BEDROCK": gateway.keys[caller],
        "AWS_REGION": REGION,
        "ANTHROPIC_MODEL": model,
        "DISABLE_AUTOUPDATER": "1",
    }
    return run([AGENTS / "claude", "-p", prompt], environment, folder)


def cline(gateway, folder, caller, model, prompt):
    """Its command line has no flag for a Bedrock endpoint; the settings file of its editor extension has."""
    aws = {"authentication": "api-key", "region": REGION, "endpoint": gateway.http}
    settings = {
        "provider": "bedrock",
        "apiKey": gateway.keys[caller],
        "model": model,
        "region": REGION,
        "aws": aws,
    }
    entry = {"settings": settings, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}
    providers = {"version": 1, "lastUsedProvider": "bedrock", "modes": {}, "providers": {"bedrock": entry}}
    data = folder / "data"
    (data / "settings").mkdir(parents=True)
    (data / "settings" / "providers.json").write_text(json.dumps(providers))
    command = [AGENTS / "cline", "--json", "--data-dir", data, "-c", folder / "project", prompt]
    return run(command, clean_environment(folder), folder)


ANSWERS = {claude_code: "InvokeModelWithResponseStream", cline: "ConverseStream"}
agents = pytest.mark.parametrize("agent", ANSWERS, ids=["claude-code", "cline"])


@agents
@pytest.mark.parametrize("model", [SONNET, arn("alicesonnet1")], ids=["model id", "own ARN"])
def test_an_agent_answers_and_is_billed(house, agent, model, tmp_path):
    with house.watch("alice") as seen:
        said = agent(house.gateway, tmp_path, "alice", model, "Say hello.")

    assert REPLY in said.text, said
    assert said.status == 0
    answered = [request for request in seen.upstream if request["operation"] == ANSWERS[agent]]
    assert answered and all(request["billed_to"] == arn("alicesonnet1") for request in answered)
    assert all(request["guardrail"] for request in answered)
    for kind, count in seen.tokens.items():
        assert count == sum(request["usage"][kind] for request in seen.upstream), kind
    assert seen.tokens["output"] > 0
    assert bill_has(house, "alice")


def bill_has(house, principal):
    """Whether the page for operators lists something that this person spent."""
    return principal in json.dumps(house.gateway.bill())


REFUSALS = {
    "a model without a profile": ("alice", HAIKU, HAIKU, "model_unmapped"),
    "a wrong key": ("nobody", SONNET, "key", "unknown_key"),
    "an exhausted budget": ("bob", SONNET, "pocket-money", "budget_exhausted"),
    "a guardrail that is not there": ("dave", SONNET, "guardrail", "guardrail_missing"),
}


@agents
@pytest.mark.parametrize("what", REFUSALS)
def test_an_agent_shows_a_refusal_within_seconds(house, agent, what, tmp_path):
    caller, model, words, reason = REFUSALS[what]
    with house.watch(caller) as seen:
        said = agent(house.gateway, tmp_path, caller, model, "Say hello.")

    assert words in said.text, said
    assert said.seconds < SECONDS_TO_SEE_A_REFUSAL
    assert said.status != 0
    assert REPLY not in said.text
    assert seen.refusals[reason] >= 1
    # Claude Code first asks one token of every model it knows, and some of those may be the caller's.
    assert not any(request["operation"] == ANSWERS[agent] for request in seen.upstream)
