#!/usr/bin/env python3
"""The reference consumer: how a platform reads riskgate without losing or doubling anything.

usage: consumer.py HOST PORT ROOT          (ROOT is riskgate/v1/{company}/{gateway})
needs: paho-mqtt 2.1.0

Drops repeats by `id`, applies each object at its highest revision, once. Sees a hole in `sequence` and a lost
tail in retained `state`, asks `cmd/resend` for it once per connection, and prints each applied object as a
JSON line. A platform keeps `seen`, `newest`, `whole` and `beyond` in its database.
"""
import collections, datetime, json, sys, uuid
import paho.mqtt.client as mqtt

host, port, root = sys.argv[1], int(sys.argv[2]), sys.argv[3]
seen, newest = set(), {}
whole, beyond = collections.Counter(), collections.defaultdict(set)  # (epoch, lane): all up to here; these too
asked = collections.Counter()  # (epoch, lane): came, or was asked for on this connection


def expect(client, epoch, lane, last):
    """Everything up to `last` must have come by now: what has not is asked for."""
    key = epoch, lane
    for start in range(max(whole[key], asked[key]) + 1, last + 1, 10_000):
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
        client.publish(f"{root}/cmd/resend", json.dumps({
            "epoch": epoch, "lane": lane, "from": start, "to": min(last, start + 9_999),
            "id": uuid.uuid4().hex, "by": "consumer.py", "expires": expires.isoformat()}), qos=1)
    asked[key] = max(asked[key], last)


def on_message(client, _, message):
    body = json.loads(message.payload or "{}")  # an empty one: a unit is gone
    for lane, last in body.get("last", {}).items():  # `state`: a lost tail
        expect(client, body["epoch"], lane, last)
    if "sequence" in body:
        key, sequence = (body["epoch"], body["lane"]), body["sequence"]
        expect(client, *key, sequence - 1)  # a hole
        asked[key] = max(asked[key], sequence)
        beyond[key].add(sequence)
        while whole[key] + 1 in beyond[key]:
            whole[key] += 1
            beyond[key].remove(whole[key])
    if "data" in body and body["id"] not in seen:
        seen.add(body["id"])
        thing = body["type"].replace("candidate", "hazard"), body["data"]["id"]
        revision = body["data"].get("revision")
        if revision is None or revision > newest.get(thing, -1):  # without one, what comes last holds
            newest[thing] = revision
            print(json.dumps({"topic": message.topic[len(root) + 1:], **body}, ensure_ascii=False), flush=True)


def on_connect(client, *_):
    asked.clear()
    topics = ("state", "alarm/+", "candidate/+", "hazard/+", "risk/+", "task/#", "record/+", "stop/+", "permit/+",
              "indicator", "gap")
    client.subscribe([(f"{root}/{topic}", 1) for topic in topics])


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect, client.on_message = on_connect, on_message
client.reconnect_delay_set(min_delay=1, max_delay=5)
client.connect_async(host, port)
client.loop_forever(retry_first_connection=True)
