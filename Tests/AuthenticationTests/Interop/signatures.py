"""Signs requests, or checks signed ones, with http-message-signatures: JSON in, JSON out, one answer for each request."""

import base64
import datetime
import json
import sys

import http_message_signatures as hms


class Headers:
    """Field lines in order, as the library wants them."""

    def __init__(self, lines):
        self.lines = [list(line) for line in lines]

    def items(self):
        return [tuple(line) for line in self.lines]

    def __iter__(self):
        return iter([name for name, _ in self.lines])

    def __contains__(self, name):
        return any(known.lower() == name.lower() for known, _ in self.lines)

    def __setitem__(self, name, value):
        if name in self:
            del self[name]
        self.lines.append([name, value])

    def __delitem__(self, name):
        self.lines = [line for line in self.lines if line[0].lower() != name.lower()]


class Request:
    def __init__(self, description):
        self.method = description["method"]
        self.url = description["url"]
        self.headers = Headers(description["headers"])


def keys(description):
    secrets = {description["keyid"]: base64.b64decode(description["key"])}
    return hms.MappingKeyResolver(public_keys=secrets, private_keys=secrets)


def instant(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def sign(description):
    request = Request(description)
    body = description.get("body")
    hms.HTTPMessageSigner(
        signature_algorithm=hms.algorithms.HMAC_SHA256, key_resolver=keys(description)
    ).sign(
        request,
        key_id=description["keyid"],
        created=instant(description["created"]),
        expires=instant(description["created"] + 60),
        nonce=description["nonce"],
        covered_component_ids=tuple(description["components"]),
        body=body.encode() if body is not None else None,
    )
    return request.headers.lines


def check(description):
    body = description.get("body")
    verifier = hms.HTTPMessageVerifier(signature_algorithm=hms.algorithms.HMAC_SHA256, key_resolver=keys(description))
    try:
        verifier.verify(
            Request(description),
            max_age=None,
            require_components=tuple(description["components"]),
            body=body.encode() if body is not None else None,
        )
    except (hms.InvalidSignature, hms.HTTPMessageSignaturesException) as error:
        return str(error)
    return "good"


work = {"sign": sign, "check": check}[sys.argv[1]]
json.dump([work(description) for description in json.load(sys.stdin)], sys.stdout)
