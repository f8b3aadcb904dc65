"""The platform acts: what its persons command is done once, told upstream and stands in the journal."""

import datetime
import json
import pathlib
import re
import subprocess
import uuid

from support import schemas
from support.peers import until

README = pathlib.Path(__file__).parents[2] / "README.md"
PERSONS = {"confirm": ["王敏"], "rectify": ["王敏", "李雷"], "acknowledge": ["王敏"]}


def start(site):
    """The plant, with a platform whose persons may do something."""
    files = site.files()
    for name, persons in PERSONS.items():
        files["gateway.toml"] += f"\n[[uplink.command]]\nname = {json.dumps(name)}\npersons = {json.dumps(persons)}\n"
    upstream = site.upstream()
    site.agent.write(files)
    site.agent.start()
    site.all_good()
    return upstream


def command(by="王敏", **fields):
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
    return {"id": uuid.uuid4().hex, "by": by, "expires": expires.isoformat(), **fields}


def ask(upstream, name, body):
    """The next answer to this command: the whole message."""
    wrong = [error.message for error in schemas.VALIDATORS[f"cmd-{name}"].iter_errors(body)]
    assert not wrong, wrong
    topic = f"reply/{body['id']}"
    before = len(upstream.seen(topic))
    upstream.publish(f"cmd/{name}", body)
    return until(f"the answer to {name}", lambda: upstream.seen(topic)[before:])[0][1]


def test_the_platform_confirms_and_rectifies_a_candidate(site):
    upstream = start(site)
    site.feed.publish("video/alarm", {"camera": "CAM-1", "type": "smoke", "score": 0.9})
    (candidate,) = until("the candidate", lambda: upstream.objects("candidate/")).values()
    confirm = command(hazard=candidate["id"], revision=candidate["revision"], why="现场核实")
    confirmed = ask(upstream, "confirm", confirm)
    assert confirmed["data"]["ok"], confirmed
    hazard = until("the hazard", lambda: upstream.objects("hazard/").get(candidate["id"]))
    assert (hazard["dangerState"], hazard["revision"]) == (0, confirmed["data"]["result"]["revision"])
    # Who saw the candidate alone does not know what he would rectify.
    rectify = command("李雷", hazard=candidate["id"], revision=candidate["revision"])
    stale = ask(upstream, "rectify", rectify)["data"]
    assert (stale["code"], stale["revision"]) == ("stale", hazard["revision"])
    rectified = ask(upstream, "rectify", {**rectify, "revision": hazard["revision"]})["data"]
    assert rectified["ok"], rectified
    until("待验收", lambda: upstream.objects("hazard/")[candidate["id"]]["dangerState"] == 1)
    refused = ask(upstream, "accept", command(hazard=candidate["id"], revision=rectified["result"]["revision"]))["data"]
    assert refused["code"] == "not_allowed", refused

    def status():
        return upstream.seen("state")[-1][1]["status"]

    # A command that nobody hears is lost: the platform looks at `state`.
    site.agent.kill()
    until("the last will", lambda: status() == "offline")
    site.agent.start()
    until("it is back", lambda: status() == "online")
    again = ask(upstream, "confirm", confirm)
    assert again["replayed"] and again["data"] == confirmed["data"], again
    hazard = upstream.objects("hazard/")[candidate["id"]]
    assert [act["deed"] for act in hazard["acts"]] == ["confirm", "rectify"], hazard
    assert [act["by"] for act in hazard["acts"]] == ["王敏", "李雷"]
    assert site.agent.stop() == 0
    journal = [site.agent.binary, "journal", "--dir", site.folder / "state", "--json", "--by", "李雷"]
    read = subprocess.run(journal, capture_output=True, text=True, check=True)
    entries = [json.loads(line) for line in read.stdout.splitlines()]
    assert [entry["what"] for entry in entries] == ["command", "act"], "refused, then done"
    assert entries[1]["body"]["path"] == "mqtt" and entries[1]["body"]["command"] == rectify["id"]


def test_each_example_of_the_readme_fits_the_schema_of_its_command():
    rows = re.findall(r"^\| `cmd/([a-z-]+)` \|.*\| `(\{.*\})` \|$", README.read_text(), re.MULTILINE)
    # A model is no line of a table.
    rows += [("model", document) for document in re.findall(r"^```json\n(.*?)^```$", README.read_text(), re.M | re.S)]
    assert {f"cmd-{name}" for name, _ in rows} == {name for name in schemas.VALIDATORS if name.startswith("cmd-")}
    for name, example in rows:
        validator = schemas.VALIDATORS[f"cmd-{name}"]
        whole = command(**json.loads(example))
        assert not list(validator.iter_errors(whole)), name
        assert list(validator.iter_errors({**whole, "by": None})), f"{name}: a command is somebody's"
