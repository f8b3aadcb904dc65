"""What a new user runs first."""

import subprocess


def test_the_demo_shows_all_that_its_scenario_holds_and_leaves_nothing_behind(binary, tmp_path):
    done = subprocess.run(
        [binary, "demo", "--speed", "6"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, env={"TMPDIR": str(tmp_path), "PATH": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in ["隐患", "报警", "罐区"]:
        assert expected in done.stdout, done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_demo_cut_short_expects_only_what_was_due(binary, tmp_path):
    done = subprocess.run(
        [binary, "demo", "--speed", "6", "--for", "20s"], capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
