"""A map command in twenty lines: every sample that has no caption gets one, and pictures under 1 kB
are left out. Requests and answers: crates/pack/src/map/SPEC.md, framing `json`.

    shardpack reshard SRC DST --map-cmd 'python3 examples/caption.py'
"""

import json
import sys

requests, answers = sys.stdin.buffer, sys.stdout.buffer
while head := requests.readline():
    head = json.loads(head)
    bodies = {field["name"]: requests.read(field["len"]) for field in head["fields"]}
    answer, sent = {"key": head["key"]}, b""  # alone: the sample stays as it is
    if len(bodies.get("jpg") or bodies.get("png") or b"") < 1000:
        answer["drop"] = True
    elif "txt" not in bodies:
        sent = f"a picture of {head['key'].split('/')[0]}".encode()
        answer["fields"] = [{"name": name} for name in bodies] + [{"name": "txt", "len": len(sent)}]
    answers.write(json.dumps(answer).encode() + b"\n" + sent)
    answers.flush()
