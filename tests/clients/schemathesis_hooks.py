"""What schemathesis does not know by itself: how JSON Lines are written."""

import json

import schemathesis


@schemathesis.serializer("application/jsonl", "application/jsonlines")
def json_lines(_context, value):
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace")
