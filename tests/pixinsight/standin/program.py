"""The program: command line, script, exit."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from hashlib import sha256
from pathlib import Path

from standin.commandline import CommandLine, DialogError, parse
from standin.core import Behaviour, Bridge, Core, World

NOISE = "libEGL warning: failed to get driver name for fd -1\nGLES: MESA-LOADER: no device\n"

#: The directive is read only in these first lines.
PROLOGUE_LINES = 5

#: A statement that may have JSON as its value.
DATA = re.compile(r"^(?P<start>var \w+ = )(?P<value>[\[{]\n(?: .*\n)*[\]}])(?=;$)", re.MULTILINE)


def main() -> int:
    behaviour_file = Path(sys.argv[1])
    behaviour = Behaviour(**json.loads(behaviour_file.read_text(encoding="utf-8")))
    sys.stderr.write(NOISE)
    core = Core(behaviour, behaviour_file.parent, ())
    try:
        line = parse(sys.argv[2:])
    except DialogError as dialog:
        core.hang(str(dialog))
    if not line.new_instance and (core.state / "running").exists():
        return 0
    start(core, line)
    while not line.force_exit:
        time.sleep(60)
    return 0


def start(core: Core, line: CommandLine) -> None:
    with (core.state / "pids").open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    core.arguments[:] = line.arguments
    core.journal |= {"arguments": sys.argv[2:]}
    script = Path(line.script).read_text(encoding="utf-8") if line.script else ""
    core.journal |= {"script": script, "began": time.time()}
    core.choose_fault(script)
    if core.fault == "hang-at-start":
        core.hang("the licence")
    time.sleep(core.behaviour.start_s)
    if script:
        run_script(core, script)
    core.write_journal(ended=time.time())


def run_script(core: Core, script: str) -> None:
    """Run a script; its errors go to the console only."""
    import dukpy

    prologue = script.splitlines()[:PROLOGUE_LINES]
    core.is_legacy = "#engine v8" not in prologue
    code = preprocessed(core, script)
    if code is None:
        return
    bridge = Bridge(World(core))
    interpreter = dukpy.JSInterpreter()
    interpreter.export_function("answer", bridge.answer)
    prelude = Path(__file__).with_name("prelude.js").read_text(encoding="utf-8")
    interpreter.evaljs(prelude + "\nnull")
    try:
        interpreter.evaljs(code + "\nnull")
    except dukpy.JSRuntimeError as error:
        core.write_console(f"*** Error: {error}")


def preprocessed(core: Core, script: str) -> str | None:
    """Return the code for the JavaScript engine; None if the script is not started."""
    if core.is_legacy:
        if not core.behaviour.has_legacy_engine:
            core.write_console("The legacy 'sm' JavaScript engine is not available")
            return None
    elif core.version < (1, 9, 4):
        core.write_console("unknown directive: #engine")
        return None
    code = re.sub(r"^#engine (v8|sm)$", "", script, flags=re.MULTILINE)
    if re.search(r"^\s*#", code, re.MULTILINE) or re.search(r"//.*/\*", code):
        core.write_console("*** Error: preprocessor")
        return None
    return code if not core.is_legacy or is_es5(core, code) else None


def is_es5(core: Core, code: str) -> bool:
    """Whether the old engine can read the code. What the parser has accepted is remembered, by a
    file: it takes longer than all else. The jobs in it are JSON, which is ECMAScript 5 as well.
    """
    code = DATA.sub(without_json, code)
    accepted = Path(__file__).parent / "__pycache__" / f"{sha256(code.encode()).hexdigest()}.es5"
    if accepted.exists():
        return True
    from calmjs.parse import es5

    try:
        es5(code)
    except Exception as error:
        core.write_console(f"*** Error: {error}")
        return False
    accepted.parent.mkdir(exist_ok=True)
    accepted.touch()
    return True


def without_json(statement: re.Match[str]) -> str:
    try:
        json.loads(statement["value"])
    except ValueError:
        return statement[0]
    return f"{statement['start']}0" if statement["value"].isascii() else statement[0]
