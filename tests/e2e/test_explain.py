"""An alarm and a hazard say why, from the running agent and from its store, and their evidence replays."""

import json
import subprocess
import urllib.request

from support.peers import PATIENCE_S, until


def run(site, *words, stdin=None):
    words = [site.agent.binary, *words]
    return subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S)


def test_a_hazard_is_explained_live_and_offline_and_its_evidence_replays(site):
    site.start()
    site.modbus.set_f32(10, 50.0)
    until("it is low", lambda: not site.agent.show("alarms"))
    site.modbus.set_f32(10, 95.0)
    open_hazards = lambda: site.agent.show("hazards") + site.agent.show("candidates")
    until("the hazard is there", open_hazards)
    hazard = open_hazards()[0]["id"]

    told = site.agent.command("explain", "LT-101/HH")
    assert told.returncode == 0, told.stderr
    assert "报警 alarm LT-101/HH" in told.stdout and "✓ {LT-101} >= " in told.stdout, told.stdout
    # The reading is some seconds old at most: what is not on disk yet is shown.
    assert "LT-101  " in told.stdout and "│" in told.stdout, told.stdout

    live = site.agent.command("explain", hazard[:8], "--json")
    assert live.returncode == 0, live.stderr
    evidence = json.loads(live.stdout)
    assert evidence["id"] == hazard and evidence["samples"][0]["tag"] == "LT-101"
    assert len(evidence["evidence"]["reason"]["plant"]) >= 12
    same = run(site, "replay", "-", stdin=live.stdout)
    assert same.returncode == 0 and "same verdict" in same.stdout, same.stdout + same.stderr

    evidence["evidence"]["operands"][0]["value"] = 1.0
    other = run(site, "replay", "-", stdin=json.dumps(evidence))
    assert other.returncode == 1 and "{LT-101} >= " in other.stderr, other.stdout + other.stderr

    with urllib.request.urlopen(f"http://127.0.0.1:{site.agent.http}/explain?id={hazard[:8]}") as answer:
        page = answer.read().decode()
    assert "✓ {LT-101} &gt;= " in page and hazard in page, page

    store = str(site.agent.folder / "state")
    site.agent.kill()
    offline = run(site, "explain", hazard, "--dir", store)
    assert offline.returncode == 0 and "✓ {LT-101} >= " in offline.stdout, offline.stdout + offline.stderr
    every = run(site, "replay", "--all", "--dir", store)
    assert every.returncode == 0 and "不同 different 0" in every.stdout, every.stdout + every.stderr
    assert run(site, "explain", "nothing", "--dir", store).returncode == 1
