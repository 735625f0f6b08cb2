"""Requests at random, to be signed: every spelling of a path, a query and headers that may reach a gateway, and bodies.

Left out is what botocore signs in a way of its own: letters beyond ASCII in a query that are not encoded, and blanks
beyond ASCII in a header. So are empty parameters, which are none to the gateway, and headers whose names would have to
be encoded in a query.
"""

import dataclasses
import hashlib
import json
import string

import house as houses

LETTERS = string.ascii_letters + string.digits
UNRESERVED = LETTERS + "-._~"
SUB_DELIMS = "!$&'()*+,;=:@"
# No URI may hold these as they are; servers of HTTP take them.
UNWISE = "[]{}|\\^"
BEYOND_ASCII = "éß日本語🦀"
# Pieces of a path that mislead who decodes it.
MISLEADING = ("%2F", "%2E%2E", "%25", "%252F", "%3F", "%00", "%41", "%7e", "%C3%A9", "%c3%28", "%zz", "%")
REGIONS = ("us-east-1", "eu-central-1", "ap-southeast-4", "us-gov-west-1")


@dataclasses.dataclass(frozen=True)
class Case:
    """What is to be signed, and how.

    A path is `start`, which leads to an operation, `tail`, which may be another, and `end`. `detour` is the same path
    with segments in it that a signer leaves out.
    """

    methods: tuple
    start: str
    tail: str
    end: str
    detour: str
    parameters: tuple
    headers: tuple
    body: bytes
    region: str
    presigned: bool
    ahead: int
    expires: int

    @property
    def path(self):
        return self.start + self.tail + self.end


def case_of(dice):
    methods, start, tail, end, parameters = dice.choice((anything, anything, model, profiles))(dice)
    presigned = dice.random() < 0.35
    # botocore puts the body of what it presigns in its query.
    body = b"" if presigned else any_body(dice)
    return Case(
        methods=tuple(methods),
        start=start,
        tail=tail,
        end=end,
        detour=detour(dice, start + tail + end),
        parameters=tuple(parameters),
        headers=tuple(headers(dice, body)),
        body=body,
        region=region(dice),
        presigned=presigned,
        ahead=dice.choice((0, 0, -280, 280)),
        expires=dice.randint(600, 604_800),
    )


def some(dice, make, least, most):
    """A few of what `make` makes, as one text."""
    return "".join(make() for _ in range(dice.randint(least, most)))


def cased(dice, text):
    return dice.choice((text, text.lower(), text.upper(), text.title(), text.swapcase()))


def piece(dice, *kinds):
    """A letter of one of these kinds, or any byte, encoded in any spelling."""
    if dice.random() < 0.7:
        return dice.choice(dice.choice(kinds))
    return cased(dice, dice.choice((f"%{dice.randrange(256):02x}", dice.choice(MISLEADING))))


def anything(dice):
    """The one place whose path may hold anything. Its query may not: what it has is named as AWS names its own."""

    def segment():
        made = some(dice, lambda: piece(dice, UNRESERVED, UNRESERVED, SUB_DELIMS, UNWISE, BEYOND_ASCII), 1, 12)
        return made if made.strip(".") else "a"

    tail = "/".join(segment() for _ in range(dice.randint(1, 4))) + dice.choice(("", "", "/"))
    parameters = [parameter(dice, cased(dice, "X-Amz-") + "Q") for _ in range(dice.randint(0, 4))]
    return dice.sample(("GET", "POST", "DELETE"), 3), "/openai/v1/", tail, "", parameters


def model(dice):
    verbs = ("invoke", "invoke-with-response-stream", "converse", "converse-stream", "count-tokens")
    return ["POST"], "/model/", label(dice), f"/{dice.choice(verbs)}", []


def profiles(dice):
    """The control plane: the one place that takes a query."""
    where = dice.choice((("/inference-profiles", ""), ("/inference-profiles/", label(dice))))
    return ["GET"], *where, "", [parameter(dice) for _ in range(dice.randint(0, 6))]


def label(dice):
    """A model's name that leads to nothing, `:` and `/` in every spelling."""
    name = some(dice, lambda: dice.choice(string.ascii_lowercase), 4, 12)
    arn = houses.arn(name).replace(houses.REGION, region(dice))
    name = dice.choice((arn, arn, f"vendor.{name}-v{dice.randrange(9)}:0"))
    spelt = {":": (":", "%3A", "%3a"), "/": ("/", "%2F", "%2f")}
    return "".join(dice.choice(spelt.get(letter, letter)) for letter in name)


def parameter(dice, start=""):
    """Of few names, so that some are there twice, and one is the beginning of another."""
    name = start + some(dice, lambda: dice.choice(("a", "b", "A", "-", "%2B", "%2b", "+", "%C3%A9")), 0, 3)
    value = some(dice, lambda: piece(dice, UNRESERVED, SUB_DELIMS.replace("&", ""), UNWISE, "/?=+"), 0, 6)
    return name + dice.choice(("", "=", f"={value}", f"={value}")) or "a"


def region(dice):
    return dice.choice((*REGIONS, some(dice, lambda: dice.choice("a9-"), 1, 30)))


def detour(dice, path):
    segments = path.split("/")
    for _ in range(dice.choice((0, 0, 0, 1, 2))):
        at = dice.randrange(1, len(segments))
        segments[at:at] = dice.choice(([""], ["."], ["a", ".."], ["", ".", "a%2F", ".."]))
    return "/".join(segments)


def headers(dice, body):
    """Of few names, so that some are there twice, in any spelling."""
    names = ("X-Q-A", "x-q-a", "X-q-A-b", "X-Q_B", "x-q.9~", "X-Amzn-Bedrock-Q", "Accept", "Cache-Control")
    made = [(dice.choice(names), header_value(dice)) for _ in range(dice.randint(0, 5))]
    sometimes = (
        ("Content-Type", dice.choice(("application/json", "text/plain;  charset=UTF-8"))),
        ("Content-Length", str(len(body))),
        ("X-Amz-Content-SHA256", hashlib.sha256(body).hexdigest()),
        ("Host", "Gateway.Example.com:8443"),
        # botocore puts the date here, in the form of HTTP, unless it presigns.
        ("Date", "today"),
        # These two botocore does not sign.
        ("User-Agent", header_value(dice)),
        ("X-Amzn-Trace-Id", header_value(dice)),
    )
    made += [(cased(dice, name), value) for name, value in sometimes if dice.random() < 0.3]
    dice.shuffle(made)
    return made


def header_value(dice):
    """Words with blanks in between and around them, or nothing."""

    def blanks():
        return some(dice, lambda: dice.choice("   \t"), 0, 3)

    letters = string.printable.strip() + LETTERS + BEYOND_ASCII
    words = (blanks() + some(dice, lambda: dice.choice(letters), 1, 6) for _ in range(dice.randint(0, 4)))
    return "".join(words) + blanks()


def any_body(dice):
    kind = dice.randrange(16)
    if kind < 5:
        return b""
    if kind < 10:
        return json.dumps({"text": header_value(dice)}, ensure_ascii=False).encode()
    return dice.randbytes(100_000 if kind == 15 else dice.randint(1, 300))
