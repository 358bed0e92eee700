"""A serverless function that finds paraphrases and translations: JSON in, JSON out.

The model is loaded when the module is, so that a warm function answers at once; nothing is written, and
nothing is fetched. ``handler`` is what AWS Lambda and its likes call; events are either the request itself
or come from an HTTP gateway with the request as their ``body``:

    {"sentences": ["...", "..."], "threshold": 0.6}         -> {"pairs": [{"score", "left", "right"}]}
    {"source": ["..."], "target": ["..."], "threshold": 1}  -> {"pairs": [{"score", "source", "target"}]}
    {"encode": ["..."]}                                     -> {"vectors": [[...]], "dimension": 320}

Sentences are named by their place in the list, from 0. On this machine:

    echo '{"sentences": ["Where is my parcel?", "Where has my parcel got to?"]}' | python handler.py
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import sys
from typing import Any

import lightmine

# Limits keep an answer within what gateways carry (6 MB) and within their time; raise them for your own.
MOST_SENTENCES = int(os.environ.get("LIGHTMINE_MOST_SENTENCES", "10000"))
MOST_VECTORS = 500
MOST_CHARACTERS = 5_000
MOST_PAIRS = 10_000
MOST_BYTES = 6_000_000
MEMORY = "256MiB"

ENCODER = lightmine.Encoder.load(os.environ.get("LIGHTMINE_MODEL"))


class RequestError(Exception):
    """The request is wrong; the message tells its sender how."""


def handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Answer one event: a status and a JSON body, whatever happens."""
    try:
        return _reply(200, answer(_request(event)))
    except (RequestError, lightmine.LightmineError) as error:
        return _reply(400, {"error": str(error)})
    except (json.JSONDecodeError, UnicodeDecodeError, binascii.Error) as error:
        return _reply(400, {"error": f"the request is not JSON: {error}"})
    except Exception as error:  # nothing of ours reaches a stranger, and everything reaches the log
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return _reply(500, {"error": "the function failed; its log says why"})


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What a request asks for."""
    match sorted(request.keys() - {"threshold"}):
        case ["sentences"]:
            vectors = ENCODER.encode(_sentences(request, "sentences"))
            pairs = lightmine.mine_paraphrases(
                vectors, threshold=_threshold(request), max_pairs=MOST_PAIRS, memory_budget=MEMORY
            )
            return {"pairs": [{"score": score, "left": i, "right": j} for score, i, j in pairs]}
        case ["source", "target"]:
            source, target = (ENCODER.encode(_sentences(request, side)) for side in ("source", "target"))
            pairs = lightmine.mine_bitext(source, target, threshold=_threshold(request), memory_budget=MEMORY)
            return {"pairs": [{"score": score, "source": i, "target": j} for score, i, j in pairs]}
        case ["encode"]:
            vectors = ENCODER.encode(_sentences(request, "encode", most=MOST_VECTORS))
            return {"vectors": vectors.tolist(), "dimension": vectors.shape[1]}
        case keys:
            given = ", ".join(keys) or "nothing"
            raise RequestError(f"give sentences, or source and target, or encode; not {given}")


def _request(event: Any) -> dict[str, Any]:
    """The request of an event, from its body where a gateway put it there."""
    if isinstance(event, dict) and "body" in event:
        packed, event = event.get("isBase64Encoded"), event["body"]
        if isinstance(event, str) and len(event) > MOST_BYTES:
            raise RequestError(f"the body is over {MOST_BYTES:,} bytes; send fewer sentences at a time")
        event = base64.b64decode(event) if packed else event
    if isinstance(event, str | bytes):
        event = json.loads(event)
    if not isinstance(event, dict):
        raise RequestError("the request must be a JSON object")
    return event


def _sentences(request: dict[str, Any], name: str, most: int = MOST_SENTENCES) -> list[str]:
    found = request[name]
    if not isinstance(found, list) or not found:
        raise RequestError(f"{name} must be a list of at least one sentence")
    if len(found) > most:
        raise RequestError(f"{name} has {len(found):,} sentences; {most:,} is the most at a time")
    for place, sentence in enumerate(found):
        if not isinstance(sentence, str) or not sentence.strip():
            raise RequestError(f"{name}[{place}] is not a sentence")
        if len(sentence) > MOST_CHARACTERS:
            raise RequestError(f"{name}[{place}] has over {MOST_CHARACTERS:,} characters")
    return found


def _threshold(request: dict[str, Any]) -> float | None:
    threshold = request.get("threshold")
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, int | float)):
        raise RequestError("threshold must be a number")
    return threshold


def _reply(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body, ensure_ascii=False),
    }


if __name__ == "__main__":
    reply = handler(sys.stdin.read())
    print(reply["body"])
    sys.exit(reply["statusCode"] != 200)
