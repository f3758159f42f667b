"""The running program: its objects, its console, its windows and its faults."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from standin.images import Image, Keyword, write
from standin.objects import (
    UNDEFINED,
    Class,
    Int64,
    Method,
    Remote,
    ScriptError,
    ScriptTypeError,
    expect,
)
from standin.process import Process, abort, process_class


@dataclass(frozen=True)
class Behaviour:
    """The behaviour of the stand-in; the defaults are a PixInsight without faults."""

    version: str = "1.9.3"
    has_legacy_engine: bool = True
    log_is_text: bool = False
    failures_throw: bool = False
    #: Seconds that it takes to start.
    start_s: float = 0.0
    #: crash, crash-once, hang, hang-at-start, hang-between, survivor, truncated, no-master, empty,
    #: wrong-size, write-fails, no-signal, leak, leak-once, files-in-use (for a moment)
    fault: str = ""
    #: Only jobs whose master's name contains this have the fault.
    fault_of: str = ""


def version_of(text: str) -> tuple[int, ...]:
    """Return a version such as 1.8.9-3 as numbers, to be compared."""
    return tuple(int(part) for part in text.replace("-", ".").split("."))


class Core:
    """The state that the objects of the scripts share."""

    def __init__(self, behaviour: Behaviour, state: Path, arguments: tuple[str, ...]) -> None:
        self.behaviour = behaviour
        self.state = state
        self.arguments = list(arguments)
        self.version = version_of(behaviour.version)
        self.is_legacy = True
        self.fault = behaviour.fault
        self.console: list[str] = []
        self.log: list[str] | None = None
        self.windows: dict[str, Window] = {}
        self.journal: dict[str, Any] = {"executed": [], "pid": os.getpid()}

    def choose_fault(self, text: str) -> None:
        """Set the fault of the job in the text of a script or file."""
        master = re.search(r'^ "master": (.*),$', text, re.MULTILINE)
        of = self.behaviour.fault_of
        self.fault = self.behaviour.fault if not of or (master and of in master[1]) else ""

    def write_console(self, text: str) -> None:
        self.console.append(text)
        if self.log is not None:
            # Real lines have the time of now; this one tests readers as well.
            self.log += [f"[2026-11-02 21:04:05] {line}" for line in text.split("\n")]

    def open_window(self, id_: str, image: Image) -> str:
        """Open a window with a unique id made from ``id_``; return the id."""
        unique, number = id_, 0
        while unique in self.windows:
            number += 1
            unique = f"{id_}{number}"
        self.windows[unique] = Window(self, unique, image)
        return unique

    def execute(self, process: Process) -> bool:
        """Execute a process; it fails by returning false or by an exception, as configured."""
        from standin.execute import EXECUTE, ProcessFailedError

        self.note(process)
        try:
            self.apply_fault(process)
            EXECUTE[process.process](process)
        except (ProcessFailedError, ScriptError) as error:
            self.write_console(f"*** Error: {error}")
            if self.behaviour.failures_throw:
                raise ScriptError(str(error)) from error
            return False
        return True

    def note(self, process: Process) -> None:
        executed = {"process": process.process, "set": process.explicit}
        self.journal["executed"].append(executed)
        self.write_console(f"{process.process}: Global context")

    def apply_fault(self, process: Process) -> None:
        """Apply a fault that occurs during ImageIntegration."""
        from standin.execute import ProcessFailedError

        if process.process != "ImageIntegration":
            return
        if self.fault == "crash" or (self.fault == "crash-once" and self.is_first("crash")):
            abort()
        if self.fault == "hang":
            self.hang("a dialog")
        if self.fault == "survivor":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            self.journal["children"] = [child.pid]
            self.hang("a dialog, with another process running")
        if self.fault == "no-signal":
            raise ProcessFailedError("Zero or insignificant signal detected.")
        if self.fault == "leak" or (self.fault == "leak-once" and self.is_first("leak")):
            self.open_window("integration", Image(np.zeros((2, 2), np.float32), []))
            raise ProcessFailedError("Out of memory.")

    def is_first(self, what: str) -> bool:
        mark = self.state / f"{what}.mark"
        if mark.exists():
            return False
        mark.touch()
        return True

    def sleep(self, milliseconds: int) -> None:
        made = bool(self.journal["executed"])
        if made and self.fault == "hang-between" and self.is_first("hang-between"):
            self.hang("a dialog that does not belong to the script")
        time.sleep(milliseconds / 1000)

    def hang(self, why: str) -> None:
        """Show a modal dialog: wait forever."""
        self.write_journal(hangs=why)
        while True:
            time.sleep(60)

    def write_journal(self, **more: Any) -> None:
        self.journal |= {"windows": sorted(self.windows), "console": self.console, **more}
        with (self.state / "journal.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.journal) + "\n")


# Image windows ---------------------------------------------------------------------------


class Window(Remote):
    methods = frozenset({"forceClose", "close", "saveAs"})

    def __init__(self, core: Core, id_: str, image: Image) -> None:
        self.core = core
        self.id = id_
        self.pixels = image.pixels
        self.cards = image.keywords

    def get(self, name: str) -> Any:
        if name == "isNull":
            return self.id not in self.core.windows
        if name == "mainView":
            return View(self)
        if name == "keywords":
            return [FitsKeyword(*card) for card in self.cards]
        return super().get(name)

    def has(self, name: str) -> bool:
        return name in ("isNull", "mainView", "keywords") or super().has(name)

    def set(self, name: str, value: Any) -> None:
        if name != "keywords":
            raise ScriptTypeError(f"ImageWindow has no writable property '{name}'")
        self.cards = cards_of(value)

    def forceClose(self) -> None:  # noqa: N802
        del self.core.windows[self.id]

    def close(self) -> None:
        self.core.hang("the image is modified: save it?")

    def saveAs(self, path: str, *prompts: Any) -> bool:  # noqa: N802
        if len(prompts) < 4 or any(prompts[:4]):
            self.core.hang("options of the file format, or: overwrite?")
        write(Path(path), [Image(self.pixels, self.cards)])
        return True


def cards_of(value: Any) -> list[Keyword]:
    expect(value, list, "keywords")
    for item in value:
        expect(item, FitsKeyword, "an item of keywords")
    return [Keyword(item.name, item.value, item.comment) for item in value]


class NullWindow(Remote):
    """The result of windowById for an unknown id in the old engine: an object, never null."""

    isNull = True  # noqa: N815
    readable = frozenset({"isNull"})


class WindowStatics(Remote):
    methods = frozenset({"windowById"})
    readable = frozenset({"windows"})

    def __init__(self, core: Core) -> None:
        self.core = core

    @property
    def windows(self) -> list[Window]:
        return list(self.core.windows.values())

    def windowById(self, id_: str) -> Remote | None:  # noqa: N802
        expect(id_, str, "ImageWindow.windowById")
        return self.core.windows.get(id_, NullWindow() if self.core.is_legacy else None)


class View(Remote):
    readable = frozenset({"id", "image", "isNull"})
    methods = frozenset({"exportProperties"})
    isNull = False  # noqa: N815

    def __init__(self, window: Window) -> None:
        self.id = window.id
        self.image = Pixmap(window)

    def exportProperties(self, file: Any) -> None:  # noqa: N802
        expect(file, FileFormatInstance, "View.exportProperties")


class Pixmap(Remote):
    methods = frozenset({"mean", "median", "minimum", "maximum"})

    def __init__(self, window: Window) -> None:
        self.window = window

    def mean(self) -> float:
        return float(self.window.pixels.mean(dtype=float))

    def median(self) -> float:
        return float(np.median(self.window.pixels))

    def minimum(self) -> float:
        return float(self.window.pixels.min())

    def maximum(self) -> float:
        return float(self.window.pixels.max())


# Files -----------------------------------------------------------------------------------


class FitsKeyword(Remote):
    writable: ClassVar = {"name": str, "value": str, "comment": str}

    def __init__(self, name: Any = "", value: Any = "", comment: Any = "") -> None:
        for field, given in (("name", name), ("value", value), ("comment", comment)):
            self.set(field, given)


class ImageDescription(Remote):
    def __init__(self, core: Core) -> None:
        self.bitsPerSample = 16
        self.ieeefpSampleFormat = False
        self.imageType = 0
        self.writable = {"bitsPerSample": int, "ieeefpSampleFormat": bool}
        if core.version >= (1, 9, 2):
            self.writable = {**self.writable, "imageType": int}


class FileFormat(Remote):
    readable = frozenset(
        {"isNull", "canStoreProperties", "supportsViewProperties", "canStoreKeywords", "name"}
    )

    def __init__(self, extension: Any, to_read: Any = False, to_write: Any = False) -> None:
        expect(extension, str, "FileFormat")
        expect([to_read, to_write], list, "FileFormat")
        self.name = extension
        self.isNull = extension not in (".xisf", ".fits", ".fit") or not to_write
        self.canStoreKeywords = True
        self.canStoreProperties = self.supportsViewProperties = extension == ".xisf"


class FileFormatInstance(Remote):
    """A file being written: create, then for each image setOptions and writeImage, then close."""

    methods = frozenset({"create", "setOptions", "setImageId", "writeImage", "close"})
    readable = frozenset({"isNull"})

    def __init__(self, core: Core, file_format: Any) -> None:
        expect(file_format, FileFormat, "FileFormatInstance")
        self.core = core
        self.isNull = file_format.isNull
        self.extension = file_format.name
        self.path: Path | None = None
        self.options: ImageDescription | None = None
        self.cards: list[Keyword] = []
        self.images: list[Image] = []
        self.id = ""
        self.ids: list[str] = []
        self.expected = 0

    def set(self, name: str, value: Any) -> None:
        if name != "keywords":
            raise ScriptTypeError(f"FileFormatInstance has no writable property '{name}'")
        self.cards = cards_of(value)

    def create(self, path: Any, hints: Any = "", images: Any = 1) -> bool:
        expect(path, str, "FileFormatInstance.create")
        expect(hints, str, "FileFormatInstance.create: hints")
        if self.path or not Path(path).parent.is_dir() or Path(path).suffix != self.extension:
            return False
        self.path, self.expected = Path(path), images
        self.path.touch()
        return True

    def setOptions(self, options: Any) -> bool:  # noqa: N802
        expect(options, ImageDescription, "FileFormatInstance.setOptions")
        self.options = options
        return self.path is not None

    def setImageId(self, id_: Any) -> bool:  # noqa: N802
        expect(id_, str, "FileFormatInstance.setImageId")
        self.id = id_
        return self.path is not None

    def writeImage(self, image: Any) -> bool:  # noqa: N802
        expect(image, Pixmap, "FileFormatInstance.writeImage")
        if not self.path or not self.options:
            return False
        if (self.options.bitsPerSample, self.options.ieeefpSampleFormat) != (32, True):
            raise NotImplementedError("the stand-in writes 32-bit floats only")
        self.images.append(Image(image.window.pixels, self.cards))
        self.ids.append(self.id)
        return self.core.fault != "write-fails"

    def close(self) -> bool:
        if not self.path or len(self.images) != self.expected:
            return False
        path, self.path = self.path, None
        write(path, self.faulty(self.images), self.ids)
        self.damage(path)
        return True

    def faulty(self, images: list[Image]) -> list[Image]:
        if self.core.fault == "wrong-size":
            return [Image(image.pixels[:-1], image.keywords) for image in images]
        return images

    def damage(self, path: Path) -> None:
        if self.core.fault == "no-master":
            path.unlink()
        if self.core.fault == "empty":
            path.write_bytes(b"")
        if self.core.fault == "truncated":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


class File(Remote):
    methods = frozenset(
        {
            "exists",
            "directoryExists",
            "createDirectory",
            "remove",
            "move",
            "readTextFile",
            "writeTextFile",
        }
    )

    def __init__(self, core: Core) -> None:
        self.core = core
        self.attempts: Counter[str] = Counter()

    def call(self, name: str, *values: Any) -> Any:
        for value in values:
            expect(value, (str, bool), f"File.{name}")
        return super().call(name, *values)

    def exists(self, path: str) -> bool:
        return Path(path).is_file()

    def directoryExists(self, path: str) -> bool:  # noqa: N802
        return Path(path).is_dir()

    def createDirectory(self, path: str, parents: bool = True) -> None:  # noqa: N802
        Path(path).mkdir(parents=parents, exist_ok=True)

    def refuse_at_first(self, what: str, path: str) -> None:
        """Refuse a file twice, as Windows does while another process has it open."""
        self.attempts[path] += 1
        if self.core.fault == "files-in-use" and self.attempts[path] % 3:
            raise ScriptError(f"{what}: the file is used by another process: {path}")

    def remove(self, path: str) -> None:
        self.refuse_at_first("File.remove()", path)
        Path(path).unlink()

    def move(self, path: str, to: str) -> None:
        if Path(to).exists():
            raise ScriptError(f"File.move(): the file already exists: {to}")
        self.refuse_at_first("File.move()", path)
        Path(path).rename(to)

    def readTextFile(self, path: str) -> str:  # noqa: N802
        text = Path(path).read_text(encoding="utf-8")
        if text.startswith('{\n "type"'):  # the job of a session
            self.core.choose_fault(text)
        return text

    def writeTextFile(self, path: str, text: str) -> None:  # noqa: N802
        if not text.isascii():
            raise ScriptError("File.writeTextFile(): the stand-in supports ASCII only")
        Path(path).write_text(text, encoding="ascii")


class FileInfo(Remote):
    """Of a file; it is not known whether V8 has it."""

    readable = frozenset({"size"})

    def __init__(self, path: Any) -> None:
        expect(path, str, "FileInfo")
        self.size = Int64(Path(path).stat().st_size)


# Console and application -----------------------------------------------------------------


class ByteArray(Remote):
    methods = frozenset({"utf8ToString", "toString"})

    def __init__(self, text: str) -> None:
        self.text = text

    def utf8ToString(self) -> str:  # noqa: N802
        return self.text

    def toString(self) -> str:  # noqa: N802
        return "[object ByteArray]"


class Console(Remote):
    methods = frozenset(
        {"beginLog", "endLog", "flush", "show", "hide"}
        | {kind + end for kind in ("write", "note", "warning", "critical") for end in ("", "ln")}
    )
    prefixes: ClassVar = {"warning": "** ", "critical": "*** "}

    def __init__(self, core: Core) -> None:
        self.core = core

    def call(self, name: str, *values: Any) -> Any:
        for kind in ("write", "note", "warning", "critical"):
            if name in (kind, kind + "ln"):
                text = "".join(str(v).lower() if isinstance(v, bool) else str(v) for v in values)
                return self.core.write_console(self.prefixes.get(kind, "") + text)
        return super().call(name, *values)

    def beginLog(self) -> None:  # noqa: N802
        self.core.log = [f"PixInsight Core {self.core.behaviour.version}", "=" * 30]

    def endLog(self) -> str | ByteArray:  # noqa: N802
        if self.core.log is None:
            raise ScriptError("Console.endLog(): there is no log")
        text, self.core.log = "\n".join(self.core.log), None
        return text if self.core.behaviour.log_is_text else ByteArray(text)

    def flush(self) -> None: ...
    def show(self) -> None: ...
    def hide(self) -> None: ...


class CoreApplication(Remote):
    def __init__(self, core: Core) -> None:
        self.methods = frozenset() if core.is_legacy else frozenset({"processEvents"})
        names = ("versionMajor", "versionMinor", "versionRelease")
        self.numbers = dict(zip(names, core.version[:3], strict=True))

    def get(self, name: str) -> Any:
        return self.numbers[name] if name in self.numbers else super().get(name)

    def processEvents(self) -> None: ...  # noqa: N802


class Runtime(Remote):
    readable = frozenset({"jsArguments"})

    def __init__(self, core: Core) -> None:
        self.jsArguments = core.arguments


class System(Remote):
    methods = frozenset({"msleep"})

    def __init__(self, core: Core) -> None:
        self.core = core

    def msleep(self, milliseconds: int) -> None:
        expect(milliseconds, int, "System.msleep")
        self.core.sleep(milliseconds)


class MessageBox(Remote):
    methods = frozenset({"execute"})

    def __init__(self, core: Core, *_: Any) -> None:
        self.core = core

    def execute(self) -> None:
        self.core.hang("a message box")


# Interface to JavaScript -----------------------------------------------------------------


def global_objects(core: Core) -> dict[str, Any]:
    console = Console(core)
    objects: dict[str, Any] = {
        "console": console,
        "Console": console,
        "File": File(core),
        "CoreApplication": CoreApplication(core),
        "ImageWindow": Class(lambda *_: NullWindow(), WindowStatics(core)),
        "FITSKeyword": Class(FitsKeyword),
        "ImageDescription": Class(lambda: ImageDescription(core)),
        "FileFormat": Class(FileFormat),
        "FileFormatInstance": Class(lambda file_format: FileFormatInstance(core, file_format)),
        "MessageBox": Class(lambda *values: MessageBox(core, *values)),
        "ImageIntegration": process_class(core, "ImageIntegration"),
        "ImageCalibration": process_class(core, "ImageCalibration"),
    }
    if core.is_legacy:
        return objects | {"jsArguments": core.arguments, "FileInfo": Class(FileInfo)}
    return objects | {"Runtime": Runtime(core), "System": System(core)}


class World(Remote):
    """Object 0: the globals that the prelude reads when it starts."""

    readable = frozenset({"globals", "names", "functions", "isLegacy"})
    methods = frozenset({"msleep", "processEvents"})

    def __init__(self, core: Core) -> None:
        self.core = core
        objects = global_objects(core)
        self.globals = list(objects.values())
        self.names = list(objects)
        self.isLegacy = core.is_legacy
        #: In V8 they are deprecated: objects have them.
        self.functions = ["msleep", "processEvents"]

    def call(self, name: str, *values: Any) -> Any:
        if name in self.functions and not self.core.is_legacy:
            self.core.write_console(f"** Warning: {name}() is deprecated")
        return super().call(name, *values)

    def msleep(self, milliseconds: int) -> None:
        expect(milliseconds, int, "msleep")
        self.core.sleep(milliseconds)

    def processEvents(self) -> None: ...  # noqa: N802


class Bridge:
    """Answers the requests of ``prelude.js``; objects are passed by number."""

    def __init__(self, world: World) -> None:
        self.objects: list[Remote] = [world]

    def answer(self, request: str) -> str:
        operation, id_, name, values = json.loads(request)
        try:
            value = self.do(operation, self.objects[id_], name, [self.decode(v) for v in values])
            return json.dumps({"value": self.encode(value)})
        except ScriptError as error:
            return json.dumps({"error": error.kind, "message": str(error)})

    def do(self, operation: str, target: Remote, name: str, values: list[Any]) -> Any:
        if operation == "enumerate":
            abort()
        if operation == "construct":
            return target.construct(*values)  # type: ignore[attr-defined]
        actions: dict[str, Callable[..., Any]] = {
            "get": target.get,
            "set": target.set,
            "has": target.has,
            "call": target.call,
        }
        return actions[operation](name, *values)

    def decode(self, coded: dict[str, Any]) -> Any:
        kind, value = coded["type"], coded.get("value")
        if kind == "array":
            return [self.decode(item) for item in value]
        if kind == "remote":
            return self.objects[value]
        if kind == "number":
            return float(value) if isinstance(value, str) else value
        if kind == "bigint":
            return Int64(value)
        return {"undefined": UNDEFINED, "null": None}.get(kind, value)

    def encode(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self.encode(item) for item in value]
        if value is UNDEFINED:
            return {"is": "undefined"}
        if isinstance(value, Int64) and not self.objects[0].isLegacy:  # type: ignore[attr-defined]
            return {"is": "bigint", "value": str(value)}
        if isinstance(value, Method):
            return {"is": "method", "name": value.name}
        if isinstance(value, Remote):
            self.objects.append(value)
            kind = "class" if isinstance(value, Class) else "object"
            return {"is": kind, "id": len(self.objects) - 1}
        return value
