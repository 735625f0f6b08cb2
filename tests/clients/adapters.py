"""The clients, each behind the same few words: call an operation, get an answer or the client's own exception.

Nothing of a client is replaced or turned off: each runs with its defaults, told only where the gateway is and which key
to show or to sign with. The one exception is the clock, where a test puts it wrong. Where a client lets us look at the
request body as it leaves, `Answer.sent` has it.
"""

import base64
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import unittest.mock

import anthropic
import boto3
import botocore.auth
import botocore.exceptions
import house

JS = pathlib.Path(__file__).resolve().parent / "js"

INVOKE = "InvokeModel"
INVOKE_STREAM = "InvokeModelWithResponseStream"
CONVERSE = "Converse"
CONVERSE_STREAM = "ConverseStream"
COUNT_TOKENS = "CountTokens"
APPLY_GUARDRAIL = "ApplyGuardrail"
ALL = (INVOKE, INVOKE_STREAM, CONVERSE, CONVERSE_STREAM, COUNT_TOKENS, APPLY_GUARDRAIL)


@dataclasses.dataclass
class Answer:
    """What a client made of an answer."""

    text: str = ""
    usage: dict = dataclasses.field(default_factory=dict)
    stop: str = ""
    sent: bytes | None = None
    raw: object = None


class Refused(Exception):
    """A client's own exception: `kind` is the name it goes by, `typed` whether the client has a class or code for it."""

    def __init__(self, kind, message, status=None, typed=True, partial=""):
        super().__init__(f"{kind}: {message}")
        self.kind, self.message, self.status, self.typed, self.partial = kind, message, status, typed, partial


def claude_body(prompt, max_tokens):
    """An Anthropic body with the odd spacing and key order that only a byte-for-byte copy preserves."""
    text = json.dumps(prompt)
    return (
        '{ "max_tokens":%d,"anthropic_version" : "bedrock-2023-05-31",\n  "temperature": 1.0,'
        '"messages":[{"role":"user","content":[{"type":"text","text":%s}]}]  }' % (max_tokens, text)
    )


def converse_input(model, prompt, max_tokens):
    return {
        "modelId": model,
        "messages": [{"role": "user", "content": [{"text": prompt}]}],
        "inferenceConfig": {"maxTokens": max_tokens},
    }


def operation_input(operation, model, prompt, max_tokens):
    """The input of an operation as the AWS SDKs write it."""
    if operation in (INVOKE, INVOKE_STREAM):
        return {"modelId": model, "body": claude_body(prompt, max_tokens), "contentType": "application/json"}
    if operation in (CONVERSE, CONVERSE_STREAM):
        return converse_input(model, prompt, max_tokens)
    if operation == COUNT_TOKENS:
        counted = converse_input(model, prompt, max_tokens)
        return {"modelId": model, "input": {"converse": {"messages": counted["messages"]}}}
    identifier, version = house.GUARDRAIL
    content = [{"text": {"text": prompt}}]
    return {"guardrailIdentifier": identifier, "guardrailVersion": version, "source": "INPUT", "content": content}


def read_claude(answer, body):
    answer.text = "".join(block.get("text", "") for block in body["content"])
    answer.usage = {"input": body["usage"]["input_tokens"], "output": body["usage"]["output_tokens"]}
    answer.stop = body["stop_reason"]


def read_claude_events(answer, events):
    """Text from the deltas, counts from Bedrock's own metrics on the last chunk: only a whole stream has them."""
    for event in events:
        answer.text += event.get("delta", {}).get("text", "")
        answer.stop = event.get("delta", {}).get("stop_reason") or answer.stop
        metrics = event.get("amazon-bedrock-invocationMetrics")
        if metrics:
            answer.usage = {"input": metrics["inputTokenCount"], "output": metrics["outputTokenCount"]}


def read_converse(answer, body):
    answer.text = "".join(block.get("text", "") for block in body["output"]["message"]["content"])
    answer.usage = {"input": body["usage"]["inputTokens"], "output": body["usage"]["outputTokens"]}
    answer.stop = body["stopReason"]


def read_converse_events(answer, events):
    for event in events:
        answer.text += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        answer.stop = event.get("messageStop", {}).get("stopReason") or answer.stop
        if "metadata" in event:
            usage = event["metadata"]["usage"]
            answer.usage = {"input": usage["inputTokens"], "output": usage["outputTokens"]}


class Client:
    """What all of them have: an address, over plain HTTP or TLS, and a clock that is right or some seconds ahead."""

    plain = False
    ahead = 0

    def __init__(self, gateway, environment):
        self.gateway, self.environment = gateway, environment
        self.url = gateway.http if self.plain else gateway.tls

    def credential(self, caller):
        return self.gateway.credentials[caller]


class Boto3(Client):
    """boto3 over TLS, the only way on which it shows a bearer key."""

    name = "boto3"
    operations = ALL

    def client(self, caller, service="bedrock-runtime"):
        # It is read at the first call, so it stays; each client's first call follows its making.
        show(self.credential(caller))
        return boto3.session.Session(region_name=house.REGION).client(
            service, endpoint_url=self.url, verify=self.gateway.ca_bundle
        )

    def call(self, operation, caller, model, prompt, max_tokens=64):
        client = self.client(caller)
        answer, partial = Answer(), []

        def look(request, **_):
            answer.sent = request.body if isinstance(request.body, bytes) else (request.body or "").encode()

        client.meta.events.register("before-send.bedrock-runtime", look)
        method = getattr(client, botocore.xform_name(operation))
        try:
            with botocore_clock(self.ahead):
                response = method(**operation_input(operation, model, prompt, max_tokens))
            if operation == INVOKE_STREAM:
                partial.extend(json.loads(event["chunk"]["bytes"]) for event in response["body"])
            elif operation == CONVERSE_STREAM:
                partial.extend(response["stream"])
        except botocore.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            typed = type(error) is not botocore.exceptions.ClientError
            raise Refused(code, error.response["Error"]["Message"], status, typed) from error
        answer.raw = response
        read_aws(answer, operation, response, partial)
        return answer


class Boto3Plain(Boto3):
    """boto3 over plain HTTP, where it does sign."""

    name = "boto3 (HTTP)"
    plain = True


def show(credential):
    """Puts one credential in this process's environment, and no other."""
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    os.environ.update(credential)


@contextlib.contextmanager
def botocore_clock(ahead):
    """Has botocore sign with a time that is so many seconds ahead."""
    right = botocore.auth.get_current_datetime

    def wrong(*given, **named):
        return right(*given, **named) + datetime.timedelta(seconds=ahead)

    with unittest.mock.patch.object(botocore.auth, "get_current_datetime", wrong if ahead else right):
        yield


def read_aws(answer, operation, response, events):
    """Reads an answer of the AWS SDKs, which all call its parts the same."""
    if operation == INVOKE:
        body = response["body"]
        read_claude(answer, json.loads(body.read()) if hasattr(body, "read") else body)
    elif operation == INVOKE_STREAM:
        read_claude_events(answer, events)
    elif operation == CONVERSE:
        read_converse(answer, response)
    elif operation == CONVERSE_STREAM:
        read_converse_events(answer, events)
    elif operation == COUNT_TOKENS:
        answer.usage = {"input": response["inputTokens"], "output": 0}
    else:
        answer.text, answer.stop = response["action"], response["action"]


class AwsCli(Client):
    """The AWS CLI, version 1, over TLS. It has no streaming commands."""

    name = "aws-cli"
    operations = (INVOKE, CONVERSE, COUNT_TOKENS, APPLY_GUARDRAIL)

    def call(self, operation, caller, model, prompt, max_tokens=64):
        home = pathlib.Path(self.environment["HOME"])
        given = operation_input(operation, model, prompt, max_tokens)
        sent = given.pop("body", None)
        aws = [sys.executable, "-c", CLI_WITH_A_WRONG_CLOCK, str(self.ahead)]
        if not self.ahead:
            aws = [os.path.join(os.path.dirname(sys.executable), "aws")]
        command = [*aws, "bedrock-runtime", botocore.xform_name(operation, "-"), "--endpoint-url", self.url]
        result = home / "answer.json"
        if sent is not None:
            (home / "body.json").write_text(sent)
            command += ["--model-id", given["modelId"], "--content-type", given["contentType"]]
            command += ["--body", f"file://{home / 'body.json'}", str(result)]
        else:
            command += ["--cli-input-json", json.dumps(given)]
        environment = self.environment | self.credential(caller)
        environment |= {"AWS_CA_BUNDLE": self.gateway.ca_bundle, "AWS_DEFAULT_REGION": house.REGION}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            raise cli_refusal(done.stderr)
        response = json.loads(done.stdout)
        answer = Answer(sent=None if sent is None else sent.encode(), raw=response)
        if sent is not None:
            response["body"] = json.loads(result.read_text())
        read_aws(answer, operation, response, [])
        return answer


class AwsCliPlain(AwsCli):
    """The AWS CLI over plain HTTP, where it does sign."""

    name = "aws-cli (HTTP)"
    plain = True


# The CLI's program, but for the clock. The botocore that it has with it takes that name when the CLI is imported.
CLI_WITH_A_WRONG_CLOCK = """
import datetime, sys
import awscli.clidriver
import botocore.auth
right, ahead = botocore.auth.get_current_datetime, datetime.timedelta(seconds=int(sys.argv.pop(1)))
botocore.auth.get_current_datetime = lambda *given, **named: right(*given, **named) + ahead
sys.exit(awscli.clidriver.main())
"""


def cli_refusal(text):
    """`An error occurred (NAME) when calling the X operation: MESSAGE` is all that the CLI's user sees."""
    head, found, message = text.strip().partition(" operation: ")
    kind = head.partition("(")[2].partition(")")[0] if found else ""
    return Refused(kind or text, message, typed=bool(kind))


class JavaScript(Client):
    """The AWS SDK for JavaScript v3 with its default handler: HTTP/2 only, with prior knowledge over plain TCP."""

    operations = ALL

    def call(self, operation, caller, model, prompt, max_tokens=64):
        given = json.dumps(operation_input(operation, model, prompt, max_tokens))
        result = self.run("call.mjs", caller, f"{operation}Command", given, str(self.ahead))
        answer = Answer(sent=base64.b64decode(result["sent"]), raw=result["answer"])
        read_aws(answer, operation, result["answer"], result["events"])
        return answer

    def run(self, script, caller, *arguments):
        """What a script prints, as `call.mjs` tells."""
        environment = self.environment | self.credential(caller)
        environment |= {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.url,
            "ANTHROPIC_BEDROCK_BASE_URL": self.url,
            "AWS_REGION": house.REGION,
            "NODE_EXTRA_CA_CERTS": self.gateway.ca_bundle,
        }
        done = subprocess.run(
            [shutil.which("node") or "node", str(JS / script), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        if "error" in result:
            error = result["error"]
            raise Refused(error["name"], error["message"], error.get("status"), error["typed"], result["events"])
        return result


class JavaScriptH2c(JavaScript):
    name = "aws-sdk-js (h2c)"
    plain = True


class JavaScriptTls(JavaScript):
    name = "aws-sdk-js (TLS)"


class AnthropicPython(Client):
    """anthropic's own Bedrock client over plain HTTP."""

    name = "anthropic"
    refuses_with = "AuthenticationError"
    plain = True
    operations = (INVOKE, INVOKE_STREAM)

    def call(self, operation, caller, model, prompt, max_tokens=64):
        answer = Answer()

        def look(request):
            answer.sent = request.content

        trust = ssl.create_default_context(cafile=self.gateway.ca_bundle)
        http_client = anthropic.DefaultHttpxClient(event_hooks={"request": [look]}, verify=trust)
        credential = self.credential(caller)
        # It finds them in the environment too, but remembers what it has found there.
        client = anthropic.AnthropicBedrock(
            api_key=credential.get("AWS_BEARER_TOKEN_BEDROCK"),
            aws_access_key=credential.get("AWS_ACCESS_KEY_ID"),
            aws_secret_key=credential.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=credential.get("AWS_SESSION_TOKEN"),
            base_url=self.url,
            aws_region=house.REGION,
            http_client=http_client,
        )
        asked = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": prompt}]}
        try:
            with client, botocore_clock(self.ahead):
                if operation == INVOKE:
                    message = client.messages.create(**asked)
                else:
                    with client.messages.stream(**asked) as stream:
                        for text in stream.text_stream:
                            answer.text += text
                        message = stream.get_final_message()
                    assert message.content[0].text == answer.text
        except anthropic.APIStatusError as error:
            body = error.body if isinstance(error.body, dict) else {}
            message = body.get("message") or body.get("error", {}).get("message") or error.message
            raise Refused(type(error).__name__, message, error.status_code, partial=answer.text) from error
        answer.text, answer.stop, answer.raw = message.content[0].text, message.stop_reason, message
        answer.usage = {"input": message.usage.input_tokens, "output": message.usage.output_tokens}
        return answer


class AnthropicPythonTls(AnthropicPython):
    name = "anthropic (TLS)"
    plain = False


# All that show a bearer key, and all that sign.
CLIENTS = (Boto3, AwsCli, JavaScriptH2c, JavaScriptTls, AnthropicPython, AnthropicPythonTls)
SIGNERS = (*CLIENTS, Boto3Plain, AwsCliPlain)
