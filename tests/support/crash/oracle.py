"""What must be true once the faults are over: at the receiver, in the store, and between both.

`judge` ends the scenario (a new hazard flows, holes are asked for once, the agent ends) and then compares. Each
thing that is wrong is one line of its answer.
"""

import collections
import json
import re
import sqlite3
import subprocess
import time

from support import peers, schemas
from support.crash import plan as plans
from support.crash import world as worlds

# What a new hazard may take from the register to the receiver.
FLOWS_WITHIN_S = 2.0
ACTIVE = {"unacknowledged", "acknowledged"}
OPEN = {"candidate", "rectifying", "awaiting_acceptance"}
KINDS = {"riskgate.alarm.v1": "alarm", "riskgate.hazard.v1": "hazard", "riskgate.candidate.v1": "hazard"}
KINDS |= {"riskgate.risk.v1": "unit", "riskgate.task.v1": "task"}


class Report:
    """What one seed showed."""

    def __init__(self, seed):
        self.seed = seed
        self.wrong = []
        self.kills = 0
        self.rows = self.lost = self.doubled = self.resent = self.undurable = self.hazards = 0
        self.start_s = self.upstream_s = self.flow_s = self.opened_s = None

    def must(self, holds, *words):
        if not holds:
            self.wrong.append(" ".join(str(word) for word in words))


def judge(world, report):
    report.upstream_s = world.calm()
    same_configuration(world)
    report.flow_s = new_hazard(world, report)
    beyond = [name for name, is_beyond in expected(world) if is_beyond]
    peers.until(f"of the limits {beyond} and no other are alarms", lambda: present_is_shown(world), 10)
    lanes = peers.until("everything is acknowledged", world.settled)
    lasts = {lane["lane"]: lane["last"] for lane in lanes}
    by_itself = world.receiver.so_far()
    epoch = ask_for_holes(world, report, lasts)
    if world.plan.end == "kill":
        world.kill()
    else:
        world.stop()
    report.kills = world.kills
    arrivals = world.receiver.so_far()
    store = Store(world.folder / "state" / "state.db")
    report.rows, report.hazards = len(store.rows), len(store.records["hazard"])
    against_rows(report, arrivals, store, epoch, lasts)
    lanes_in_order(report, by_itself)
    objects_as_stored(report, arrivals, store, lasts)
    undurable_followed(report, arrivals, store, world)
    hazards_once(report, store)
    present_is_judged(report, store, world)
    acts_kept(report, store, world)
    journal_whole(report, world)
    as_the_schemas_say(report, arrivals)
    opens_again(report, world, epoch)
    log = (world.folder / "agent.log").read_text(errors="replace")
    opened = re.findall(r'"store_opened_in" millis=(\d+)', log)
    report.opened_s = max(map(int, opened), default=0) / 1000
    report.must("panicked" not in log, "a panic: see agent.log")
    aside = [path.name for path in (world.folder / "state").iterdir() if "damaged" in path.name]
    report.must(not aside, "a store was taken for damaged:", aside)


class Store:
    def __init__(self, path):
        with sqlite3.connect(path) as connection:
            rows = connection.execute(
                "SELECT lane, sequence, kind, object, revision, topic, body, sent_at FROM outbox ORDER BY row"
            )
            self.rows = {(row[0], row[1]): row[2:] for row in rows}
            self.epoch = connection.execute("SELECT epoch FROM meta").fetchone()[0]
            self.records = {}
            for table in ["alarm", "hazard", "unit", "task"]:
                found = connection.execute(f"SELECT id, revision, body FROM {table}")
                self.records[table] = {key: (revision, json.loads(body)) for key, revision, body in found}
            self.journal = [line for (line,) in connection.execute("SELECT line FROM journal ORDER BY n")]
        connection.close()


def same_configuration(world):
    """What is on disk is what runs: a SIGHUP may have come before the agent listened."""

    def reloaded():
        answer = world.ask({"ask": "reload"})
        why = (answer or {}).get("why", "")
        # The one that a signal asked for may be running still, or this one on a machine under load.
        is_running = "another reload is running" in why or "it may still do it" in why
        return answer if answer and not is_running else None

    answer = peers.until("a reload", reloaded)
    assert answer["answer"] == "done", answer
    peers.until("the uplink holds", world.connected)


def new_hazard(world, report):
    """From the register to the receiver."""
    measure = f"M-{plans.LAST}"
    began = time.monotonic()
    world.set(plans.LAST, 95)

    def is_it(arrival):
        data = (arrival.body or {}).get("data") or {}
        return arrival.topic.startswith("hazard/") and data["riskMeasureId"] == measure

    arrival = peers.until("the new hazard", lambda: world.receiver.find(is_it))
    took = arrival.at - began
    report.must(took <= FLOWS_WITHIN_S, f"a new hazard took {took:.2f} s")
    return took


def sequenced(arrivals):
    for arrival in arrivals:
        if arrival.body and "sequence" in arrival.body:
            yield (arrival.body["lane"], arrival.body["sequence"]), arrival


def ask_for_holes(world, report, lasts):
    """One resend of each range that has not come, as a receiver does."""
    arrivals = world.receiver.so_far()
    epochs = {arrival.body["epoch"] for _, arrival in sequenced(arrivals)}
    report.must(len(epochs) == 1, "messages of several epochs:", epochs)
    epoch = max(epochs)
    seen = {key for key, _ in sequenced(arrivals)}
    for lane, last in lasts.items():
        for first, end in ranges(n for n in range(1, last + 1) if (lane, n) not in seen):
            report.resent += end - first + 1
            report.must(world.plan.broker_fails, "lost on its first way by a broker that never failed:", lane, first)
            world.receiver.ask_again(epoch, lane, first, end)
    return epoch


def ranges(numbers):
    found = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def against_rows(report, arrivals, store, epoch, lasts):
    """Committed means delivered, delivered means decided, and both are the same."""
    report.must(store.epoch == epoch, "the store is of another epoch:", store.epoch, epoch)
    seen = {}
    for key, arrival in sequenced(arrivals):
        row = store.rows.get(key)
        if row is None:
            report.must(False, "delivered and not in the store:", key, arrival.body["id"])
            continue
        kind, told, revision, topic, body, _ = row
        data = arrival.body["data"]
        same = (arrival.body["type"], arrival.topic, data) == (kind, topic, json.loads(body))
        report.must(same and data["id"] == told and data["revision"] == revision, "not as stored:", key)
        report.must(seen.setdefault(key, arrival.body["id"]) == arrival.body["id"], "two ids of one row:", key)
    names = collections.Counter(seen.values())
    report.must(all(count == 1 for count in names.values()), "one id of two rows")
    for key, row in store.rows.items():
        lane, sequence = key
        if sequence > lasts[lane]:
            # Made while the agent ended: what nobody has acknowledged waits.
            continue
        if key not in seen:
            report.lost += 1
            report.must(False, "committed and never delivered:", key, row[0], row[1], row[2])
        report.must(row[-1] is not None, "acknowledged, and pending:", key)
    for lane, last in lasts.items():
        missing = [n for n in range(1, last + 1) if (lane, n) not in store.rows]
        report.must(not missing, "a lane with holes:", lane, missing[:5])
    # A task goes to its unit and to its assignee.
    told = collections.Counter((row[0], row[1], row[2], row[3]) for row in store.rows.values())
    doubled = [key for key, count in told.items() if count > 1]
    report.doubled += len(doubled)
    report.must(not doubled, "the same revision told twice:", doubled[:5])


def lanes_in_order(report, arrivals):
    """From one birth to the next, which every connection of the agent begins with, a lane only rises. What the
    broker itself gives once more says so."""
    highest, connection = {}, None
    for arrival in arrivals:
        if arrival.topic == "birth" or arrival.connection != connection:
            highest, connection = {}, arrival.connection
        if arrival.retain or not arrival.body or "sequence" not in arrival.body:
            continue
        lane, sequence = arrival.body["lane"], arrival.body["sequence"]
        before = highest.get(lane, 0)
        report.must(sequence > before or arrival.dup, "out of order:", lane, before, "then", sequence)
        highest[lane] = max(before, sequence)


def objects_as_stored(report, arrivals, store, lasts):
    """Who keeps the highest revision of each object has what the store has, but for what came last of all."""
    late = {(KINDS.get(row[0]), row[1]) for (lane, n), row in store.rows.items() if n > lasts[lane]}
    newest = collections.defaultdict(dict)
    for _, arrival in sequenced(arrivals):
        table = KINDS.get(arrival.body["type"])
        if table:
            data = arrival.body["data"]
            newest[table][data["id"]] = max(newest[table].get(data["id"], 0), data["revision"])
    for table, records in store.records.items():
        stored = {key: revision for key, (revision, _) in records.items()}
        differ = {pair for pair in set(stored.items()) ^ set(newest[table].items()) if (table, pair[0]) not in late}
        report.must(not differ, f"{table}s differ between store and receiver:", sorted(differ)[:6])


def undurable_followed(report, arrivals, store, world):
    """What went out before its commit was committed under the same revision, unless the agent ended meanwhile."""
    rows = {(KINDS.get(row[0]), row[1], row[2]) for row in store.rows.values()}
    for arrival in arrivals:
        data = (arrival.body or {}).get("data") or {}
        if data.get("durable") is not False:
            continue
        report.undurable += 1
        table = KINDS[arrival.body["type"]]
        ended = any(end > arrival.at - 10 for end in world.ends[:-1])
        stored = store.records[table].get(data["id"], (0, None))[0]
        followed = (table, data["id"], data["revision"]) in rows or stored > data["revision"]
        report.must(followed or ended, "told as not durable and never committed:", arrival.body["id"])


def hazards_once(report, store):
    """At most one open for each measure and cause, and openings without holes."""
    causes = collections.defaultdict(dict)
    for key, (_, body) in store.records["hazard"].items():
        of = causes[body["measure"], body["cause"]]
        report.must(body["opening"] not in of, "two hazards of one opening:", key)
        of[body["opening"]] = (key, body)
    for cause, openings in causes.items():
        opened = sum(body["stage"] in OPEN for _, body in openings.values())
        report.doubled += max(0, opened - 1)
        report.must(opened <= 1, opened, "open hazards of", cause)
        report.must(sorted(openings) == list(range(1, len(openings) + 1)), "openings with holes:", cause)
        for number, (_, body) in openings.items():
            previous = openings[number - 1][0] if number - 1 in openings else None
            report.must(body["previous"] == previous, "not the hazard before it:", cause, number)


def expected(world):
    """Each alarm of a limit, and whether it must be active."""
    for point, value in world.values.items():
        yield f"{point}/H", value >= worlds.limit_of(point, world.version)
        yield f"{point}/HH", value >= plans.LIMIT_HIGH


def present_is_shown(world):
    alarms = world.show("alarms")
    active = {alarm["id"] for alarm in alarms or [] if alarm["state"] in ACTIVE}
    return alarms is not None and all((name in active) == is_beyond for name, is_beyond in expected(world))


def present_is_judged(report, store, world):
    """What is beyond its limit now has its alarm and a hazard, what is not has no active alarm."""
    for name, is_beyond in expected(world):
        _, alarm = store.records["alarm"].get(name, (0, None))
        is_active = alarm is not None and alarm["state"] in ACTIVE
        report.must(is_active == is_beyond, f"{name}, beyond its limit: {is_beyond}:", alarm and alarm["state"])
        point = name.split("/")[0]
        cause = (f"M-{point}", f"limit:{point}")
        bodies = [body for _, body in store.records["hazard"].values()]
        has_one = any((body["measure"], body["cause"]) == cause for body in bodies)
        report.lost += is_beyond and not has_one
        report.must(has_one or not is_beyond, f"{name} is beyond its limit and has no hazard")


def acts_kept(report, store, world):
    """An act of which a person was told that it is durable is in the journal, and on its hazard once."""
    acts = collections.Counter(
        act["by"] for _, body in store.records["hazard"].values() for act in body["acts"]
    )
    report.must(all(count == 1 for count in acts.values()), "an act carried out twice:", acts)
    for token, deed in world.durable_acts:
        report.must(any(f'"{token}"' in line for line in store.journal), "an act is not in the journal:", token)
        if deed != "acknowledge":
            report.must(acts[token] == 1, "an act is not on its hazard:", token, deed)


def journal_whole(report, world):
    done = subprocess.run(
        [world.binary, "verify", "--dir", world.folder / "state"], capture_output=True, text=True, timeout=60
    )
    report.must(done.returncode == 0, "riskgate verify:", done.stdout, done.stderr)


def opens_again(report, world, epoch):
    """However it ended: without a person, in the same epoch, in under two seconds of an unloaded machine."""
    began = time.monotonic()
    world.start()
    peers.until("the agent answers", world.is_up)
    report.start_s = time.monotonic() - began
    world.kill()
    after = Store(world.folder / "state" / "state.db").epoch
    report.must(after == epoch, "a new epoch after the end:", after)


def as_the_schemas_say(report, arrivals):
    told = {}
    for arrival in arrivals:
        if arrival.body is not None and not arrival.topic.startswith("cmd/"):
            # One of each kind and state is enough: there are thousands.
            data = arrival.body.get("data", {})
            shape = (arrival.topic.split("/")[0], arrival.body.get("status"), tuple(sorted(data)), data.get("stage"))
            told.setdefault(shape, arrival)
    for arrival in told.values():
        wrong = schemas.misfit(arrival.topic, arrival.body)
        report.must(wrong is None, wrong)
