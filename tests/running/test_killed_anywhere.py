"""Writers killed at each step that changes a file: what is there is old or new, and whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from calmasters.settings import Settings

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

#: Runs an action in processes that kill themselves at their first change of a file, at their
#: second and so on, until one comes to its end.
KILLED = """
import os, signal, sys
from pathlib import Path

CHANGES = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.utime", "os.truncate"}

def killed_everywhere(prepare, action, see):
    moment = 0
    while True:
        moment += 1
        prepare()
        if not (child := os.fork()):
            left = moment
            def watch(event, arguments):
                nonlocal left
                opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
                if opened or event in CHANGES:
                    left -= 1
                    if not left:
                        os.kill(os.getpid(), signal.SIGKILL)
            sys.addaudithook(watch)
            action()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        see(moment)
        if os.WIFEXITED(status):
            print(moment - 1)
            assert os.WEXITSTATUS(status) == 0
            return
"""

PLAN = """
import json, re, yaml
from calmasters.planning.checkpoint import refresh_plan
from calmasters.atomic_files import sweep
from calmasters.settings import Settings

config, schema, frames, output = map(Path, sys.argv[1:])
given = yaml.safe_load(config.read_text()) | {"input_dir": str(frames), "output_dir": str(output)}
before = Settings.from_config(given, schema)
given["integration"]["bias"]["sigmaLow"] = 3.5
after = Settings.from_config(given, schema)

def content(path):
    # When a job file was written is all that differs each time.
    return re.sub(rb'"written_ns": \\d+', b"", path.read_bytes())

def state():
    files = {path.relative_to(output): path for path in output.rglob("*") if path.is_file()}
    return {str(name): content(path) for name, path in files.items()}

states = []
for settings in (before, after):
    refresh_plan(settings)
    states.append(state())

def see(moment):
    # Each file but those half written is one of before, or of after.
    found = state()
    for name, held in found.items():
        assert name.endswith(".partial") or held in [each.get(name) for each in states], name
    # The plan vouches for all others.
    if found.get("plan.json") == states[1]["plan.json"]:
        assert {name: found.get(name) for name in states[1]} == states[1]
    refresh_plan(after)
    sweep(output)
    assert state() == states[1]

killed_everywhere(lambda: refresh_plan(before), lambda: refresh_plan(after), see)
"""

MASTER = """
import numpy as np
from calmasters.atomic_files import sweep, write_whole
from calmasters.images.master_file import read_image, write_master
from calmasters.running.previous_masters import restore, save

output = Path(sys.argv[1])
master = output / "masters/bias/masterBias.xisf"
numbers = master.with_suffix(".json")
ENDS = [(0.25, "old"), (0.75, "new")]

def make(level, words):
    master.parent.mkdir(parents=True, exist_ok=True)
    write_master(master, np.full((3, 4), level, np.float32), [])
    write_whole(numbers, words)

def run():
    save(output, ["masters/bias/masterBias.xisf"])
    master.unlink()  # in Snakemake's order
    numbers.unlink()
    make(*ENDS[1])
    restore(output)

def see(moment):
    sweep(output)
    restore(output)
    level = float(read_image(master)[0].mean())
    said = numbers.read_text() if numbers.exists() else None
    # Old numbers are never beside new pixels; where there are none, the master is made again.
    assert (level, said) in [*ENDS, (0.75, None)], (level, said)
    assert {path.name for path in output.rglob("*") if path.is_file()} <= {
        master.name, numbers.name}

killed_everywhere(lambda: make(*ENDS[0]), run, see)
"""


def moments(program: str, *arguments: Path) -> int:
    """Run a program; give the number of moments at which it was killed."""
    command = [sys.executable, "-c", KILLED + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_plan_killed_at_any_step_is_written_by_the_next_run(
    settings: Settings, add_frame: Callable[..., Path], schema: Path
) -> None:
    for kind in ("bias", "dark"):
        for number in range(3):
            add_frame(f"{kind}{number}.fits", kind)
    config = schema.with_name("config.yaml")
    assert moments(PLAN, config, schema, settings.input_dir, settings.output_dir) > 8


def test_a_master_killed_at_any_step_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    assert moments(MASTER, tmp_path) > 12
