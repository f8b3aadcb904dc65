"""Rules over the past, from what an agent kept, and a rule in the shadow of the others."""

import json
import os
import pty
import subprocess

from conftest import RULES
from support.peers import PATIENCE_S, until

TRIED = """
[[rule]]
id = "tried"
measure = "M-LEVEL"
name = "液位偏高试运行"
priority = "critical"
when = "{LT-101} > 60"
shadow = true
hazard = { level = "general", confirm = "auto", deadline = "24h" }
unit = { raise_to = "red", hold = "10m" }
"""


def run(site, *words, **more):
    return subprocess.run([site.agent.binary, *words], capture_output=True, text=True, timeout=PATIENCE_S, **more)


def test_a_shadow_rule_is_counted_and_explained_and_nobody_is_told(site):
    upstream = site.upstream()
    site.start(rules=RULES + TRIED)
    site.modbus.set_f32(10, 65.0)
    counted = lambda: [of for of in site.agent.show("shadow") if of["episodes"] == 1 and of["since"]]
    until("it is counted", counted)
    # The limit at 80 comes later and goes the whole way: what is upstream by then is all that was told.
    site.modbus.set_f32(10, 85.0)
    until("the limit is told", lambda: "LT-101/H" in upstream.objects("alarm/"))
    everything = json.dumps([upstream.objects(lane) for lane in ("alarm/", "hazard/", "candidate/", "risk/", "task/")])
    assert "tried" not in everything, everything
    shown = site.agent.show()
    assert all("tried" not in json.dumps(shown[key]) for key in shown if key != "shadows"), shown
    assert site.agent.command("ack", "tried", "--by", "王敏").returncode == 1
    told = site.agent.command("explain", "tried")
    assert told.returncode == 0 and "✓ {LT-101} > 60" in told.stdout, told.stdout + told.stderr


def test_what_an_agent_kept_is_judged_by_other_rules(site, tmp_path):
    site.start()
    site.modbus.set_f32(10, 95.0)
    until("it is too full", lambda: any(of["id"] == "LT-101/HH" for of in site.agent.show("alarms")))
    site.agent.stop()
    new, old = tmp_path / "new", site.agent.config
    new.mkdir()
    for name, text in site.files(rules=RULES + TRIED.replace("shadow = true", "")).items():
        (new / name).write_text(text)
    words = ["backtest", "--config", str(new), "--against", str(old), "--history", str(site.agent.folder / "state")]
    first, again = run(site, *words), run(site, *words)
    assert first.returncode == 0 and first.stdout == again.stdout, first.stdout + first.stderr
    assert "\r" not in first.stdout + first.stderr, "no bar where nobody looks"
    report = json.loads(run(site, *words, "--json").stdout)
    alarms = {of["rule"]: of["alarms"] for of in report["new"]["rules"]}
    assert alarms["LT-101/HH"] == 1 and alarms["tried"] == 1, alarms
    assert [(of["rule"], of["change"]) for of in report["differences"]] == [("tried", "appears")], report

    ours, theirs = pty.openpty()
    on_terminal = subprocess.run([site.agent.binary, *words], stdout=subprocess.PIPE, stderr=theirs, timeout=PATIENCE_S)
    os.close(theirs)
    bar = os.read(ours, 65536).decode()
    os.close(ours)
    assert on_terminal.stdout.decode() == first.stdout and "[####" in bar, bar

    wrong = tmp_path / "wrong.csv"
    wrong.write_text("time,tag,value,quality,reason\n2026-11-23T08:00:00+08:00,LT-101,5O,good,\n")
    refused = run(site, "backtest", "--config", str(new), "--history", str(wrong))
    assert refused.returncode == 1 and "wrong.csv:2: '5O' is no value of 'LT-101'" in refused.stderr, refused.stderr
