"""Runs an example of Documentation/Webhooks.md on webhooks: JSON in, JSON out, for each whether the example accepts it."""

import base64
import json
import sys

example = {}
with open(sys.argv[1], encoding="utf-8") as file:
    exec(file.read(), example)


def accepts(webhook):
    try:
        example["verify"](webhook["secret"], webhook["headers"], base64.b64decode(webhook["body"]))
    except Exception:
        return False
    return True


json.dump([accepts(webhook) for webhook in json.load(sys.stdin)], sys.stdout)
