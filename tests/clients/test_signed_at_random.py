"""botocore signs requests at random: each is let in as it was signed, and refused once anything signed is another.

Every request is sent over a socket, byte for byte as botocore signed it: an HTTP client would encode some of it anew.
"""

import collections
import dataclasses
import datetime
import email.utils
import http.client
import random
import re
import socket
import urllib.parse

import adapters
import at_random
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import house as houses
import pytest
from at_random import LETTERS

# A failure tells its seed and its case. A seed that is put here is tried every time.
SEEDS = (1, 2, 3, 4)
FRESH = "a fresh seed"
CASES = 100

INVALID = (401, "InvalidSignatureException", "invalid_signature")
INVALID_PATH = (400, "ValidationException", "invalid_path")
# Why the requests go no further when it is known who asks.
LATER = {
    "operation_refused",
    "invalid_query",
    "no_such_model",
    "model_unmapped",
    "model_refused_kind",
    "profile_not_yours",
}
# The parameters of a presigned request that its caller has not asked for.
OF_THE_SIGNATURE = {
    f"X-Amz-{part}" for part in ("Algorithm", "Credential", "Date", "Expires", "Signature", "SignedHeaders")
}
TIME = "%Y%m%dT%H%M%SZ"


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as it goes over the wire."""

    method: str
    path: str
    parameters: tuple
    headers: tuple
    body: bytes

    def head(self):
        target = self.path + ("?" if self.parameters else "") + "&".join(self.parameters)
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{name}:{value}" for name, value in self.headers)]
        return "\r\n".join(lines) + "\r\n\r\n"

    def header(self, wanted):
        """Where a header stands first, and its value there."""
        return next(((at, value) for at, (name, value) in enumerate(self.headers) if name.lower() == wanted), None)

    def with_header(self, at, *values):
        name = self.headers[at][0]
        return dataclasses.replace(self, headers=put(self.headers, at, *((name, value) for value in values)))

    def with_parameter(self, at, *new):
        return dataclasses.replace(self, parameters=put(self.parameters, at, *new))

    def with_part(self, part, change):
        """With a part of the signature changed, in the query or in the header."""
        for at, own in enumerate(self.parameters):
            name, _, value = own.partition("=")
            if name == f"X-Amz-{part}":
                value = urllib.parse.quote(change(urllib.parse.unquote(value)), safe="")
                return self.with_parameter(at, f"{name}={value}")
        at, value = self.header("authorization")
        before, own, after = re.fullmatch(rf"(.*{part}=)([^,]*)(.*)", value).groups()
        return self.with_header(at, before + change(own) + after)

    def signed_headers(self):
        names = []
        self.with_part("SignedHeaders", lambda value: names.extend(value.split(";")) or value)
        return names


def put(items, at, *new):
    return (*items[:at], *new, *items[at + 1 :])


def signed(case, gateway):
    """The request as botocore signs it, on the path that it signs whatever the detour."""
    credential = gateway.credentials[houses.SIGNING]
    key = botocore.credentials.Credentials(credential["AWS_ACCESS_KEY_ID"], credential["AWS_SECRET_ACCESS_KEY"])
    url = f"{gateway.http}{case.detour}?{'&'.join(case.parameters)}"
    asked = botocore.awsrequest.AWSRequest(case.methods[0], url, data=case.body)
    for name, value in case.headers:
        asked.headers[name] = value
    signer = botocore.auth.SigV4Auth(key, "bedrock", case.region)
    if case.presigned:
        signer = botocore.auth.SigV4QueryAuth(key, "bedrock", case.region, case.expires)
    with adapters.botocore_clock(case.ahead):
        signer.add_auth(asked)
    url = urllib.parse.urlsplit(asked.url)
    headers = asked.headers.items()
    there = {name.lower() for name, _ in headers}
    framing = (("Host", url.netloc), ("Content-Length", str(len(case.body))), ("Connection", "close"))
    headers += [(name, value) for name, value in framing if name.lower() not in there]
    parameters = tuple(url.query.split("&")) if url.query else ()
    return Request(asked.method, case.path, parameters, tuple(headers), case.body)


def answer_to(gateway, request):
    """The status, the error's name, and the gateway's own word for the reason."""
    place = urllib.parse.urlsplit(gateway.http)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(request.head().encode() + request.body)
        with http.client.HTTPResponse(connection, method=request.method) as answer:
            answer.begin()
            return answer.status, answer.headers["x-amzn-errortype"], answer.headers["x-tollgate-reason"]


def another(dice, text):
    """The text with one piece of it another, or otherwise encoded; `None` where there is nothing to change."""
    pieces = re.findall(r"%[0-9A-Fa-f]{2}|.", text)
    options = [(at, other) for at, piece in enumerate(pieces) for other in others(dice, piece) if other != piece]
    if not options:
        return None
    at, other = dice.choice(options)
    return "".join(put(pieces, at, other))


def others(dice, piece):
    """What may stand for a piece without leading to another operation, or to none."""
    if len(piece) == 1:
        return ["%3A"] if piece == ":" else [dice.choice(LETTERS)] if piece in LETTERS else []
    decoded = chr(int(piece[1:], 16))
    return [piece.swapcase(), decoded] if decoded in f"{LETTERS}-_~:" else [piece.swapcase()]


def another_letter(dice, text, letters):
    """The text with one of these letters another one of them."""
    at = dice.choice([at for at, letter in enumerate(text) if letter in letters])
    return "".join(put(text, at, dice.choice(letters.replace(text[at], ""))))


# What is altered of a signed request; each returns `None` where a request has nothing of the kind.


def another_method(dice, case, request):
    return dataclasses.replace(request, method=dice.choice(case.methods[1:])) if case.methods[1:] else None


def another_path(dice, case, request):
    tail = another(dice, case.tail)
    return tail and dataclasses.replace(request, path=case.start + tail + case.end)


def another_parameter(dice, case, request):
    """Another value, or no such parameter where there is none."""
    own = [at for at, own in enumerate(request.parameters) if own.partition("=")[0] not in OF_THE_SIGNATURE]
    if not own:
        return None
    at = dice.choice(own)
    name, _, value = request.parameters[at].partition("=")
    value = another(dice, value)
    return request.with_parameter(at, *([] if value is None else [f"{name}={value}"]))


def one_more_parameter(dice, case, request):
    """Of a name that every operation takes."""
    at = dice.randint(0, len(request.parameters))
    parameters = (*request.parameters[:at], "X-Amz-Q=1", *request.parameters[at:])
    return dataclasses.replace(request, parameters=parameters)


def another_header(dice, case, request):
    """Another letter of a header, one more value, or none."""
    names = set(request.signed_headers()) - {"content-length", "date", "x-amz-date"}
    at = dice.choice([at for at, (name, _) in enumerate(request.headers) if name.lower() in names])
    name, value = request.headers[at]
    ways = [] if name.lower() == "host" else [(value, "more"), ("more", value), ()]
    if set(value) & set(LETTERS):
        ways.append((another_letter(dice, value, LETTERS),))
    return request.with_header(at, *dice.choice(ways))


def another_body(dice, case, request):
    """One bit of it another, or one byte more."""
    body, at = bytearray(request.body), dice.randint(0, len(request.body))
    if at < len(body):
        body[at] ^= 1 << dice.randrange(8)
    else:
        body += dice.randbytes(1)
    request = dataclasses.replace(request, body=bytes(body))
    return request.with_header(request.header("content-length")[0], str(len(body)))


def another_signature(dice, case, request):
    return request.with_part("Signature", lambda value: another_letter(dice, value, "0123456789abcdef"))


def another_date(dice, case, request):
    """A second later."""

    def later(value):
        return (datetime.datetime.strptime(value, TIME) + datetime.timedelta(seconds=1)).strftime(TIME)

    if case.presigned:
        return request.with_part("Date", later)
    if found := request.header("x-amz-date"):
        return request.with_header(found[0], later(found[1]))
    at, value = request.header("date")
    moment = email.utils.parsedate_to_datetime(value) + datetime.timedelta(seconds=1)
    return request.with_header(at, email.utils.format_datetime(moment))


def another_time_to_live(dice, case, request):
    return request.with_part("Expires", lambda value: str(int(value) - 1)) if case.presigned else None


def another_region(dice, case, request):
    return request.with_part("Credential", lambda value: value.replace(f"/{case.region}/", f"/{case.region}-b/"))


def one_signed_header_less(dice, case, request):
    """Of which anything could be made then."""
    names = request.signed_headers()
    optional = [name for name in names if name not in ("host", "date", "x-amz-date")]
    if not optional:
        return None
    names.remove(dice.choice(optional))
    return request.with_part("SignedHeaders", lambda _: ";".join(names))


ALTERATIONS = (
    another_method,
    another_path,
    another_parameter,
    one_more_parameter,
    another_header,
    another_body,
    another_signature,
    another_date,
    another_time_to_live,
    another_region,
    one_signed_header_less,
)


@pytest.mark.parametrize("seed", [*SEEDS, FRESH])
def test_what_botocore_signs_is_let_in_and_nothing_else(house, seed):
    seed = random.SystemRandom().randrange(2**32) if seed == FRESH else seed
    refused, detours = collections.Counter(), 0
    with house.watch() as seen:
        for number in range(CASES):
            dice = random.Random(f"{seed}/{number}")
            case = at_random.case_of(dice)
            request = signed(case, house.gateway)
            of = f"of seed {seed}, case {number}, {case}"
            answer = answer_to(house.gateway, request)
            assert answer[0] == 200 or answer[2] in LATER, f"{answer} to {request.head()!r} {of}"
            if case.detour != case.path:
                detours += 1
                strayed = dataclasses.replace(request, path=case.detour)
                assert answer_to(house.gateway, strayed) == INVALID_PATH, f"{case.detour} {of}"
            for alter in ALTERATIONS:
                altered = alter(dice, case, request)
                if altered is not None:
                    refused[alter.__name__] += 1
                    answer = answer_to(house.gateway, altered)
                    assert answer == INVALID, f"{alter.__name__}: {answer} to {altered.head()!r} {of}"
    assert set(refused) == {alter.__name__ for alter in ALTERATIONS} and detours
    assert (seen.upstream, seen.refusals["invalid_signature"]) == ([], refused.total())
