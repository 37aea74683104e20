"""Verifies webhooks with standardwebhooks (v1) and cryptography (v1a): JSON in, JSON out, for each webhook who accepts it."""

import base64
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError


def symmetric(secret, webhook, body):
    try:
        Webhook(secret).verify(body, webhook["headers"], json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def asymmetric(key, webhook, body):
    headers = webhook["headers"]
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_"), validate=True))
    message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for signature in headers["webhook-signature"].split(" "):
        version, _, text = signature.partition(",")
        if version != "v1a":
            continue
        try:
            public.verify(base64.b64decode(text, validate=True), message)
            return True
        except InvalidSignature:
            pass
    return False


def verdicts(webhook):
    body = base64.b64decode(webhook["body"])
    return {
        "secrets": [symmetric(secret, webhook, body) for secret in webhook["secrets"]],
        "keys": [asymmetric(key, webhook, body) for key in webhook["keys"]],
    }


json.dump([verdicts(webhook) for webhook in json.load(sys.stdin)], sys.stdout)
