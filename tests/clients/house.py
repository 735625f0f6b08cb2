"""Starts the look-alike and the gateway as a person would, and asks both what they saw.

What the tests compare with is never the gateway alone: the look-alike keeps an account of what it received, and the
gateway's metrics say what it counted.
"""

import collections
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import re
import selectors
import subprocess
import time
import urllib.error
import urllib.request

REGION = "us-east-1"
ACCOUNT = "123456789012"
GUARDRAIL = ("gr1abc2def3", "1")
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"


def arn(name):
    """An application inference profile of the played account."""
    return f"arn:aws:bedrock:{REGION}:{ACCOUNT}:application-inference-profile/{name}"


# A prompt of Prompt management, for alice alone.
PLAYLIST = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:prompt/PLAYLIST01:3"

PROFILES = {
    "alicesonnet1": SONNET,
    "alicenova001": NOVA,
    "bobsonnet001": SONNET,
    "carolnova001": NOVA,
    "davesonnet01": SONNET,
}

CONFIG = f"""
[server]
listen = "127.0.0.1:0"
{{server}}

[server.tls]
local_ca = "ca"

[admin]
listen = "127.0.0.1:0"

# Many of the tests show a wrong credential.
[identity]
root_key_files = ["root.key"]
failures_per_minute = 0

[upstream]
region = "{REGION}"
endpoint = "{{endpoint}}"

[[principals]]
name = "alice"

[[principals]]
name = "bob"

[[principals]]
name = "carol"

[[principals]]
name = "dave"

[[profiles]]
name = "alice-sonnet"
arn = "{arn('alicesonnet1')}"
source = "{SONNET}"
principals = ["alice"]
aliases = ["sonnet"]

[[profiles]]
name = "alice-nova"
arn = "{arn('alicenova001')}"
source = "{NOVA}"
principals = ["alice"]

[[profiles]]
name = "bob-sonnet"
arn = "{arn('bobsonnet001')}"
source = "{SONNET}"
principals = ["bob"]

[[profiles]]
name = "carol-nova"
arn = "{arn('carolnova001')}"
source = "{NOVA}"
principals = ["carol"]

[[profiles]]
name = "dave-sonnet"
arn = "{arn('davesonnet01')}"
source = "{SONNET}"
principals = ["dave"]

[[exact_arns]]
name = "playlist"
arn = "{PLAYLIST}"
source = "{SONNET}"
principals = ["alice"]
most_input_tokens = 100
most_output_tokens = 100

[[guardrails]]
identifier = "{GUARDRAIL[0]}"
version = "{GUARDRAIL[1]}"
mode = "inject"
everyone = true

# Dave has to send it himself.
[[guardrails]]
identifier = "{GUARDRAIL[0]}"
version = "{GUARDRAIL[1]}"
mode = "require"
principals = ["dave"]

# Plenty, and less than any call of bob's costs.
[[budgets]]
name = "plenty"
window = "month"
usd = "1000"
principals = ["alice", "carol", "dave"]

[[budgets]]
name = "pocket-money"
window = "day"
usd = "0.0001"
principals = ["bob"]
"""


def clean_environment(home):
    """This process's environment without anything that an AWS client would read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANTHROPIC_", "CLAUDE_"))}
    return kept | {
        "HOME": str(home),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Program:
    """A process that prints one JSON line when it is ready."""

    def __init__(self, command, log, environment):
        self.log = log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
            )
        self.ready = self._first_line(command)

    def _first_line(self, command, seconds=60):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(seconds) else ""
        try:
            return json.loads(line)
        except ValueError:
            self.stop()
            raise RuntimeError(f"{command} did not get ready; it said {line!r} and {self.log.read_text()!r}") from None

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def fetch(url, method="GET", body=None):
    """The body of an answer, whatever its status."""
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()
    except urllib.error.HTTPError as answer:
        return answer.read()


class Bedrock:
    """The look-alike: what reached it, and what AWS would bill."""

    def __init__(self, tollgate, folder):
        profiles = [flag for name, source in PROFILES.items() for flag in ("--profile", f"{arn(name)}={source}")]
        command = [tollgate, "mock", "--listen", "127.0.0.1:0", "--output", "json", "--chunk-interval", "5", *profiles]
        command += ["--guardrail", ":".join(GUARDRAIL), "--prompt", f"{PLAYLIST}={SONNET}=Make me a {{{{genre}}}} playlist."]
        self.program = Program(command, folder / "mock.log", clean_environment(folder))
        self.url = self.program.ready["url"]

    def received(self):
        return json.loads(fetch(f"{self.url}/_mock/requests"))

    def body(self, request):
        return fetch(f"{self.url}/_mock/requests/{request['id']}/body")

    def account(self):
        return json.loads(fetch(f"{self.url}/_mock/account"))


# AWS's example of an access key, which every AWS client takes.
EXAMPLE = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
# Callers that sign, by what they sign with.
SIGNING = "alice, who signs"
WRONG_SECRET = "a wrong secret"
EXPIRED_KEY = "an expired key"
REVOKED_KEY = "a revoked key"
OF_AWS = "a key of AWS's own"
SESSION_TOKEN = "a session token"


def bearer(key):
    """What AWS's clients read a bearer key from."""
    return {"AWS_BEARER_TOKEN_BEDROCK": key}


def access_key(identifier, secret):
    """What AWS's clients read an access key from."""
    return {"AWS_ACCESS_KEY_ID": identifier, "AWS_SECRET_ACCESS_KEY": secret}


class Gateway:
    """The gateway under test: where it listens, its callers' keys, and what it counted.

    `keys` are the bearer keys, `credentials` all that somebody can show, as variables for a client's environment.
    """

    def __init__(self, tollgate, folder, bedrock, server=""):
        self.config = folder / "tollgate.toml"
        self.config.write_text(CONFIG.format(endpoint=bedrock.url, server=server.replace("BEDROCK_URL", bedrock.url)))
        self.tollgate = tollgate
        self.environment = clean_environment(folder) | access_key(*EXAMPLE)
        (folder / "root.key").write_text(self.command("key", "root"))
        expired = self._make_access_key("--expires-in", "1s")
        self.keys = {name: self._make_key(name)["key"] for name in ("alice", "bob", "carol", "dave")}
        self.keys["nobody"] = "tg_" + "0" * len(self.keys["alice"].removeprefix("tg_"))
        self.credentials = {name: bearer(key) for name, key in self.keys.items()} | self._access_keys(expired)
        command = [tollgate, "serve", "-c", str(self.config), "--output", "json"]
        self.program = Program(command, folder / "serve.log", self.environment)
        ready = self.program.ready
        self.http, self.tls = ready["data"], ready["tls"]
        self.admin, self.ca_bundle = ready["admin"], ready["ca_bundle"]
        expires = datetime.datetime.fromisoformat(expired["expires"].replace("Z", "+00:00"))
        wait_until(lambda: datetime.datetime.now(expires.tzinfo) > expires, "a key did not expire")

    def _access_keys(self, expired):
        """What the callers who sign do it with; the key that expires is older than the others."""
        signing, revoked = self._make_access_key(), self._make_access_key()
        self.command("key", "revoke", revoked["id"])
        good = access_key(signing["access_key_id"], signing["secret_access_key"])
        return {
            SIGNING: good,
            WRONG_SECRET: good | {"AWS_SECRET_ACCESS_KEY": EXAMPLE[1]},
            EXPIRED_KEY: access_key(expired["access_key_id"], expired["secret_access_key"]),
            REVOKED_KEY: access_key(revoked["access_key_id"], revoked["secret_access_key"]),
            OF_AWS: access_key(*EXAMPLE),
            SESSION_TOKEN: good | {"AWS_SESSION_TOKEN": "FwoGZXIvYXdzEXAMPLE"},
        }

    def _make_access_key(self, *more):
        return self._make_key("alice", "--sigv4", *more)

    def _make_key(self, principal, *more):
        return json.loads(self.command("key", "create", "--principal", principal, "--output", "json", *more))

    def command(self, *command):
        """What a command of the gateway's prints."""
        whole = [self.tollgate, *command, "-c", str(self.config)]
        done = subprocess.run(whole, env=self.environment, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"{whole} failed: {done.stderr}")
        return done.stdout

    def secrets(self):
        """All that the gateway's callers must keep to themselves."""
        shown = ("AWS_BEARER_TOKEN_BEDROCK", "AWS_SECRET_ACCESS_KEY")
        return {value for made in self.credentials.values() for name, value in made.items() if name in shown}

    def metrics(self):
        """Every sample: {(family, frozenset of labels): value}."""
        samples = {}
        for line in fetch(f"{self.admin}/metrics").decode().splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match:
                labels = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
                samples[match[1], labels] = float(match[3])
        return samples

    def bill(self):
        return json.loads(fetch(f"{self.admin}/bill"))

    def payers(self):
        """How many calls the bill has of whom."""
        payers = collections.Counter()
        for row in self.bill()["rows"]:
            payers[row["principal"]] += row["calls"]
        return payers

    def count(self, family, **labels):
        """The sum of a family's samples that have these labels."""
        wanted = set(labels.items())
        return sum(value for (name, have), value in self.metrics().items() if name == family and wanted <= have)

    def tokens(self, principal):
        """What the gateway counted for somebody, by kind."""
        kinds = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
        samples = self.metrics()
        return {
            kind: sum(
                value
                for (name, labels), value in samples.items()
                if name == "tollgate_tokens_total" and {("principal", principal), ("kind", kind)} <= labels
            )
            for kind in kinds
        }

    def served(self):
        """Requests that ended and were no refusal of the gateway's own."""
        return self.count("tollgate_requests_total") - self.count("tollgate_refusals_total")

    def log(self):
        return self.program.log.read_text()


@dataclasses.dataclass
class Seen:
    """What one call left behind on both sides of the gateway."""

    upstream: list
    bodies: list
    tokens: dict
    attempts: int
    refusals: dict
    at_reservation: int
    payers: dict


class House:
    """A look-alike and a gateway before it, with more lines in its `[server]` if wanted; BEDROCK_URL in them is the look-alike."""

    def __init__(self, tollgate, folder, server=""):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.bedrock = Bedrock(tollgate, folder)
        try:
            self.gateway = Gateway(tollgate, folder, self.bedrock, server)
        except BaseException:
            self.bedrock.program.stop()
            raise

    def stop(self):
        self.gateway.program.stop()
        self.bedrock.program.stop()

    @contextlib.contextmanager
    def watch(self, principal="alice"):
        """Fills a `Seen` with what happens within the block."""
        known = {request["id"] for request in self.bedrock.received()}
        before, tokens, served = self.gateway.metrics(), self.gateway.tokens(principal), self.gateway.served()
        paid = self.gateway.payers()
        seen = Seen([], [], {}, 0, {}, 0, {})
        yield seen
        forwarded = len(self.bedrock.received()) - len(known)
        # A refusal is counted before it is answered. A forwarded call is counted when the last byte of its answer has left,
        # which the client may see a moment earlier.
        wait_until(lambda: self.gateway.served() - served >= forwarded, "a forwarded call was not counted")
        after = self.gateway.metrics()
        seen.upstream = [request for request in self.bedrock.received() if request["id"] not in known]
        seen.bodies = [self.bedrock.body(request) for request in seen.upstream]
        seen.tokens = {kind: count - tokens[kind] for kind, count in self.gateway.tokens(principal).items()}
        seen.payers = dict(self.gateway.payers() - paid)
        for (family, labels), value in after.items():
            more = value - before.get((family, labels), 0)
            if family == "tollgate_requests_total":
                seen.attempts += int(more)
            elif family == "tollgate_settled_at_reservation_total":
                seen.at_reservation += int(more)
            elif family == "tollgate_refusals_total" and more:
                reason = dict(labels)["reason"]
                seen.refusals[reason] = seen.refusals.get(reason, 0) + int(more)


def wait_until(holds, complaint, seconds=10):
    """Polls; there is nothing to subscribe to."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(complaint)
        time.sleep(0.02)


def unsplice(sent, received):
    """What stands in `received` and not in `sent`, which must be one piece, every other byte the same."""
    at = len(os.path.commonprefix([sent, received]))
    end = len(received) - (len(sent) - at)
    while at > 0 and received[end:] != sent[at:]:
        at, end = at - 1, end - 1
    assert received[:at] + received[end:] == sent, "bytes of the body were changed beyond one insertion"
    return received[at:end]


def default_binary():
    """The debug build of this checkout, unless TOLLGATE_BIN names another."""
    root = pathlib.Path(__file__).resolve().parents[2]
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    return os.environ.get("TOLLGATE_BIN", str(root / target / "debug" / "tollgate"))
