"""The functions of the scripts, one by one: several are checked in one start of the stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jobs_for_pixinsight import MODES, Program, Site, make_job

from calmasters.engines.pixinsight.script import session_text
from calmasters.engines.pixinsight.user_scripts import write_scripts
from calmasters.frame import FrameType

#: Calls of functions that return or throw, each written as JSON.
_TELL = """
function tell(action) {
   var result;
   try { result = action(); } catch (error) { result = "Error: " + error.message; }
   print.writeln(result === undefined ? '"undefined"' : JSON.stringify(result));
}
var print = console;
"""


@pytest.fixture
def program(program: Program) -> Program:
    """The newer JavaScript, which is not parsed a second time."""
    behaviour, program.js_engine = MODES["v8"]
    program.behave(**behaviour)
    return program


def results_of(site: Site, *expressions: str, before: str = "", script: str = "") -> list[Any]:
    """Evaluate expressions with the functions of a user's script, or of another one."""
    script = script or site.script(make_job(site, FrameType.BIAS))
    functions = script.rpartition("console.show();")[0]
    assert functions.startswith("#engine v8")
    calls = "\n".join(f"tell(function () {{ return {each}; }});" for each in expressions)
    lines = site.program.run_script(f"{functions}{_TELL}{before}\n{calls}\n").console
    assert len(lines) == len(expressions), lines
    return [json.loads(line) for line in lines]


# files.js --------------------------------------------------------------------------------


def test_reports_are_ascii(site: Site) -> None:
    texts = [r"'a~\u007f\u00e9\u0101\u2028\uffff'", "{a: [1, 'é'], b: null}", "'#/'"]
    calls = (*(f"asciiJson({text})" for text in texts), "asciiJson({a: 1}, 1)")
    counts = "asciiJson([9007199254740993n, 7n, 1.5])"  # of 64 bits
    plain, thing, other, indented, numbers = results_of(site, *calls, counts)
    assert numbers == "[9007199254740992,7,1.5]"
    assert plain == r'"a~\u007f\u00e9\u0101\u2028\uffff"'
    assert thing == r'{"a":[1,"\u00e9"],"b":null}'
    assert other == '"#/"'
    assert indented == '{\n "a": 1\n}'


def test_files_are_handled_whole(site: Site, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "five").write_text("12345")
    folder = tmp_path.as_posix()
    assert results_of(
        site,
        f"folderOf('{folder}/five') === '{folder}'",
        f"makeFolder('{folder}/a/b')",
        f"makeFolder('{folder}/a/b')",
        f"removeFile('{folder}/none')",
        f"removeFile('{folder}/empty')",
        f"writeWhole('{folder}/a/b/text', 'one')",
        f"writeWhole('{folder}/a/b/text', 'two')",
        f"replaceFile('{folder}/five', '{folder}/a/b/text')",
        f"recordOf('{folder}/none')",
    ) == [True, *["undefined"] * 7, {}]
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"five"}
    assert (tmp_path / "five").read_text() == "two\n"
    assert [*(tmp_path / "a" / "b").iterdir()] == []


def test_a_size_that_is_not_known_is_none(site: Site) -> None:
    before = """
    FileInfo = function (size) {
       if (size === "none")
          throw new Error("there is no such file");
       this.size = size;
    };
    """
    calls = ("fileSize(5)", "fileSize(1)", "fileSize(0)", "fileSize('none')", "fileSize('text')")
    assert results_of(site, *calls, before=before) == [5, 1, None, None, None]


def test_a_file_that_another_program_holds_is_tried_again(site: Site) -> None:
    before = """
    var tries = 0, slept = 0;
    sleep = function (milliseconds) { slept += milliseconds; };
    function failing(times) {
       tries = slept = 0;
       return function () { if (++tries <= times) throw new Error("busy"); return "done"; };
    }
    """
    assert results_of(
        site,
        "whenFree(failing(0))",
        "[tries, slept]",
        "whenFree(failing(3))",
        "[tries, slept]",
        "whenFree(failing(100))",
        "whenFree(failing(101))",
        "[tries, slept]",
        before=before,
    ) == ["done", [1, 0], "done", [4, 150], "done", "Error: busy", [101, 5000]]


def test_a_pause_lets_the_program_work(site: Site) -> None:
    (seconds,) = results_of(site, "sleep(30), Date.now() - begun", before="var begun = Date.now();")
    assert 29 <= seconds < 3000


# console.js, windows.js ------------------------------------------------------------------


def test_the_log_is_read_from_every_version(site: Site) -> None:
    def log(returned: str, flush: str = "") -> str:
        methods = f"flush: function () {{ {flush} }}, endLog: function () {{ return {returned}; }}"
        return f"(console = {{{methods}}}, endLog())"

    assert results_of(
        site,
        log("'text'"),
        log(
            "{utf8ToString: function () { return 'bytes'; }, toString: function () { return 'x'; }}"
        ),
        log("{utf8ToString: 5, toString: function () { return 'other'; }}"),
        log("'text'", "throw new Error('closed');"),
        "coreVersion()",
    ) == ["text", "bytes", "other", "the console could not be read: Error: closed", "1.9.4"]


def test_a_window_that_is_not_there_is_missing(site: Site) -> None:
    assert results_of(
        site,
        "isMissing(null)",
        "isMissing(undefined)",
        "isMissing({isNull: true})",
        "isMissing({isNull: false})",
        "findWindow('none')",
        "openWindowIds()",
    ) == [True, True, True, False, "Error: there is no image window 'none'", []]


def test_only_windows_that_were_opened_since_are_closed(site: Site) -> None:
    before = """
    var closed = [];
    function opened(id) { return {mainView: {id: id}, isNull: id === "gone",
                                  forceClose: function () { closed.push(id); }}; }
    ImageWindow = {windows: ["user", "new"].map(opened), windowById: opened};
    """
    assert results_of(
        site,
        "openWindowIds()",
        "(closeWindows(['made', 'user', 'gone'], ['user']), closed)",
        "(ImageWindow.windows = undefined, openWindowIds())",
        before=before,
    ) == [["user", "new"], ["made", "new"], []]


# process.js ------------------------------------------------------------------------------


def test_parameters_are_set_by_name(site: Site) -> None:
    before = """
    function Process() { this.mode = 0; this.text = "x"; this.on = false; }
    Process.FIRST = 7;
    Process.prototype.SECOND = 8;
    Process.TEXT = "no number";
    function made(action) { var process = new Process; action(process); return process; }
    function set(parameters) {
       return made(function (process) { setParameters(process, Process, parameters); });
    }
    """
    plain = {"mode": 0, "text": "x", "on": False}
    assert results_of(
        site,
        "set({})",
        "set({mode: 'FIRST', text: 'FIRST', on: true})",
        "set({mode: 'SECOND'})",
        "set({mode: 3})",
        "set({mode: 'TEXT'})",
        "set({mode: 'THIRD'})",
        "set({other: 1})",
        "made(function (p) { setKnownParameters(p, Process, {other: 1, mode: 'FIRST'}); })",
        "execute({executeGlobal: function () { return true; }}, 'P')",
        "execute({executeGlobal: function () { return false; }}, 'P')",
        "execute({executeGlobal: function () { return 1; }}, 'P')",
        before=before,
    ) == [
        plain,
        {"mode": 7, "text": "FIRST", "on": True},
        {**plain, "mode": 8},
        {**plain, "mode": 3},
        "Error: this version of PixInsight has no item 'TEXT' for this process",
        "Error: this version of PixInsight has no item 'THIRD' for this process",
        "Error: this version of PixInsight has no parameter 'other'",
        {**plain, "mode": 7},
        "undefined",
        *["Error: P failed; the reason is in the console output"] * 2,
    ]


# calibration.js, integration.js, master.js ----------------------------------------------


def test_missing_masters_of_a_calibration_are_disabled(site: Site) -> None:
    before = """
    function set(bias, dark, optimized) {
       var process = {};
       setCalibrationMasters(process, {bias: bias, dark: dark, optimizeDarks: optimized});
       return process;
    }
    """

    def expected(bias: str, dark: str, is_optimized: bool) -> dict[str, Any]:
        return {
            "masterBiasEnabled": bool(bias),
            "masterBiasPath": bias,
            "masterDarkEnabled": bool(dark),
            "masterDarkPath": dark,
            "calibrateDark": bool(bias and dark),
            "optimizeDarks": is_optimized,
        }

    assert results_of(
        site,
        "set(null, null, false)",
        "set('b', null, false)",
        "set(null, 'd', false)",
        "set('b', 'd', true)",
        before=before,
    ) == [
        expected("", "", False),
        expected("b", "", False),
        expected("", "d", False),
        expected("b", "d", True),
    ]


#: A process whose parameters have these names, and are what they are set to.
_FAKE = """
function faked(names, results) {
   return function () {
      names.forEach(function (name) { this[name] = ""; }, this);
      for (var name in results)
         this[name] = results[name];
      this.executeGlobal = function () { ran = this; return works; };
   };
}
var ran = null, works = true;
"""


def test_the_parameters_of_a_calibration_are_all_set(site: Site, tmp_path: Path) -> None:
    expected = {
        "masterFlatEnabled": False,
        "calibrateBias": False,
        "calibrateFlat": False,
        "overscanEnabled": False,
        "pedestalMode": "Literal",
        "pedestal": 0,
        "outputPedestalMode": "OutputPedestal_Literal",
        "outputSampleFormat": "f32",
        "outputPrefix": "",
        "outputPostfix": "_c",
        "overwriteExistingFiles": False,
        "onError": "Continue",
        "evaluateNoise": False,
        "evaluateSignal": False,
        "cosmeticCorrectionLow": False,
        "cosmeticCorrectionHigh": False,
        "noGUIMessages": True,
        "outputDirectory": f"{tmp_path.as_posix()}/new/folder",
        "targetFrames": [[True, "a"], [True, "b"]],
        "masterBiasEnabled": True,
        "masterBiasPath": "bias",
        "masterDarkEnabled": False,
        "masterDarkPath": "",
        "calibrateDark": False,
        "optimizeDarks": False,
    }
    folder = f"directory: '{tmp_path.as_posix()}/new/folder'"
    calibration = f"bias: 'bias', dark: null, optimizeDarks: false, {folder}"
    further = "parameters: {noGUIMessages: true}"
    job = f"{{frames: ['a', 'b'], calibration: {{{calibration}, {further}}}}}"
    made = (tmp_path / "made").as_posix()
    Path(made).touch()
    before = f"""{_FAKE}
    ImageCalibration = faked({json.dumps([*expected])}, {{outputData: [["{made}"], ["{made}"]]}});
    """
    frames, ran, failed = results_of(
        site,
        f"calibrate({job})",
        "(ran.outputData = undefined, ran)",
        f"(works = false, calibrate({job}))",
        before=before,
    )
    assert frames == [{"path": made, "k": None}] * 2
    assert ran == expected
    assert failed == "Error: ImageCalibration failed; the reason is in the console output"
    assert (tmp_path / "new" / "folder").is_dir()


def test_the_parameters_of_an_integration_are_all_set(site: Site) -> None:
    expected = {
        "evaluateSNR": False,
        "useCache": False,
        "subtractPedestals": False,
        "generate64BitResult": False,
        "generateIntegratedImage": True,
        "generateDrizzleData": False,
        "closePreviousImages": False,
        "useROI": False,
        "largeScaleClipLow": False,
        "largeScaleClipHigh": False,
        "autoMemorySize": True,
        "autoMemoryLimit": 0.75,
        "showImages": False,
        "images": [[True, "a", "", ""], [True, "b", "", ""]],
        "overrideImageType": True,
        "imageType": 3,
        "generateSlopeMaps": False,
        "sigmaLow": 4,
        "generateRejectionMaps": False,
    }
    results = "{integrationImageId: 'i', imageData: [[0, 0, 0, 1, 0, 0, 2]]}"
    before = f"{_FAKE} ImageIntegration = faked({json.dumps([*expected])}, {results});"
    parameters = "integration: {sigmaLow: 4, generateRejectionMaps: false}"
    job = f"{{imageType: 3, {parameters}}}"
    made, ran, failed = results_of(
        site,
        f"integrate({job}, ['a', 'b'])",
        "(ran.imageData = ran.integrationImageId = undefined, ran)",
        f"(works = false, integrate({job}, []))",
        before=before,
    )
    assert made == {"images": ["i"], "rejected": [[1, 2]]}
    assert ran == expected
    assert failed == "Error: ImageIntegration failed; the reason is in the console output"


def test_every_frame_must_be_calibrated(site: Site, tmp_path: Path) -> None:
    made = [(tmp_path / name).as_posix() for name in ("a_c.xisf", "b_c.xisf")]
    for path in made:
        Path(path).touch()
    rows = json.dumps([[made[0], "0.5"], [made[1], "2"]])
    missing = json.dumps([[made[0], "0.5"], ["/none.xisf", "1"]])
    job = "{frames: ['a', 'b'], calibration: {optimizeDarks: %s}}"
    kept, removed, *errors = results_of(
        site,
        f"calibratedFrames({rows}, {job % 'true'})",
        f"calibratedFrames({rows}, {job % 'false'})",
        f"calibratedFrames({missing}, {job % 'true'})",
        f"calibratedFrames([['{made[0]}', '1']], {job % 'true'})",
        f"calibratedFrames([['{made[0]}', '1'], ['', '1']], {job % 'true'})",
        f"removeFrames([{{path: '{made[0]}'}}])",
    )
    assert kept == [{"path": made[0], "k": 0.5}, {"path": made[1], "k": 2}]
    assert removed == [{"path": made[0], "k": None}, {"path": made[1], "k": None}]
    assert errors == [*["Error: ImageCalibration could not calibrate b"] * 3, "undefined"]
    assert [path.name for path in tmp_path.glob("*_c.xisf")] == ["b_c.xisf"]


def test_what_an_integration_gives_is_read(site: Site) -> None:
    ids = "integrationImageId: 'i', lowRejectionMapImageId: 'l', highRejectionMapImageId: "
    cards = "[['GAIN', '100', 'set'], ['DATE', null, 'now']]"
    before = "FITSKeyword = function (name, value, comment) { this.all = [name, value, comment]; };"
    *images, rejected, paths, (gain, date) = results_of(
        site,
        f"newImages({{{ids}'h', generateRejectionMaps: true}})",
        f"newImages({{{ids}'h', generateRejectionMaps: false}})",
        f"newImages({{{ids}'', generateRejectionMaps: true}})",
        "rejectedSamples([[0, 0, 0, 5, 0, 0, 7, 0], [0, 0, 0, '1', 0, 0, '2', 0]])",
        "pathsOf([{path: 'a'}, {path: 'b'}])",
        f"masterKeywords({{keywords: {cards}}}).map(function (card) {{ return card.all; }})",
        before=before,
    )
    assert images == [["i", "l", "h"], ["i"], ["i", "l"]]
    assert (rejected, paths) == ([[5, 7], [1, 2]], ["a", "b"])
    assert gain == ["GAIN", "100", "set"]
    assert (date[0], date[2], len(date[1]), date[1][11]) == ("DATE", "now", 21, "T")


def test_a_step_of_writing_that_fails_is_named(site: Site) -> None:
    assert results_of(
        site,
        "check(true, 'close', 'x.xisf')",
        "check(false, 'close', 'x.xisf')",
        "check(1, 'close', 'x.xisf')",
        "writeMaster({keywords: [], extension: 'x'}, ['a'], 'p')",
        "writeMaster({keywords: [], extension: '.y'}, ['a'], 'p')",
        before="""
        findWindow = function () { return {}; };
        FileFormat = function (extension) { this.isNull = extension === 'x'; };
        FileFormatInstance = function () { this.isNull = true; };
        """,
    ) == [
        "undefined",
        *["Error: PixInsight could not close x.xisf"] * 2,
        "Error: this PixInsight cannot write x files",
        "Error: PixInsight could not open its .y file format",
    ]


def test_a_master_is_written_with_its_maps_and_closed_also_after_a_failure(site: Site) -> None:
    before = """
    var calls, fails;
    function note(name) {
       return function () {
          calls.push([name].concat(Array.prototype.slice.call(arguments)));
          return name !== fails;
       };
    }
    findWindow = function (id) {
       var view = {image: "pixels of " + id, exportProperties: note("exportProperties")};
       return {mainView: view, imageType: "type of " + id};
    };
    masterKeywords = function () { return "cards"; };
    ImageDescription = function () { this.imageType = 0; };
    FileFormat = function () {
       note("FileFormat").apply(null, arguments);
       this.canStoreProperties = storing;
       this.supportsViewProperties = true;
    };
    FileFormatInstance = function (format) {
       ["create", "setOptions", "setImageId", "writeImage", "close"].forEach(function (name) {
          this[name] = note(name);
       }, this);
    };
    function write(failing, ids) {
       calls = [];
       fails = failing;
       try {
          writeMaster({extension: ".xisf", outputHints: "hints"}, ids, "path");
       } catch (error) {
          calls.push(error.message);
       }
       return calls.map(function (call) {
          return call[0] === "exportProperties" ? call[0] : call;
       });
    }
    var storing = true;
    """
    whole, plain, not_created, not_written, not_closed = results_of(
        site,
        "write('', ['a', 'b'])",
        "(storing = false, write('', ['a']))",
        "write('create', ['a'])",
        "write('writeImage', ['a'])",
        "write('close', ['a'])",
        before=before,
    )

    def image(name: str, window: str, *properties: str) -> list[Any]:
        options = {
            "bitsPerSample": 32,
            "ieeefpSampleFormat": True,
            "imageType": f"type of {window}",
        }
        return [
            ["setOptions", options],
            *properties,
            ["setImageId", name],
            ["writeImage", f"pixels of {window}"],
        ]

    opened = [["FileFormat", ".xisf", False, True], ["create", "path", "hints", 1]]
    assert whole == [
        opened[0],
        ["create", "path", "hints", 2],
        *image("integration", "a", "exportProperties"),
        *image("rejection_low", "b", "exportProperties"),
        ["close"],
    ]
    assert plain == [*opened, *image("integration", "a"), ["close"]]
    assert not_created == [*opened, "PixInsight could not create path"]
    failure = "PixInsight could not write the image into path"
    assert not_written == [*opened, *image("integration", "a"), ["close"], failure]
    assert not_closed == [*plain, "PixInsight could not close path"]


def test_the_pixels_of_a_master_are_measured(site: Site) -> None:
    image = ", ".join(
        f"{name}: function () {{ return '{value}'; }}"
        for name, value in (("mean", 2.5), ("median", 2), ("minimum", 0), ("maximum", 5))
    )
    assert results_of(site, f"pixelStatistics({{{image}}})") == [
        {"mean": 2.5, "median": 2, "minimum": 0, "maximum": 5}
    ]


@pytest.mark.parametrize("keeps", [True, False])
def test_frames_of_a_failed_master_are_removed_unless_they_are_kept(
    site: Site, keeps: bool
) -> None:
    before = """
    var log = [];
    calibrate = function () { log.push("calibrate"); return [{path: "c", k: 0.5}]; };
    removeFrames = function (frames) { log.push("remove " + frames[0].path); };
    closeWindows = function (ids) { log.push("close " + ids.join()); };
    writeMaster = function () { if (fails) throw new Error("full"); };
    findWindow = function () { return {mainView: {image: "image"}}; };
    pixelStatistics = function (image) { return image; };
    integrate = function (job, paths) {
       log.push("integrate " + paths.join());
       return {images: ["i"], rejected: [[1, 2]]};
    };
    var fails = false;
    function made(calibration, record) {
       log = [];
       try {
          return makeMaster({frames: ["f"], calibration: calibration, record: record},
                            function (step) { log.push(step); });
       } catch (error) {
          return error.message;
       }
    }
    """
    calibration = f"{{keep: {str(keeps).lower()}}}"
    whole, log, uncalibrated, its_log, failed, log_of_failed = results_of(
        site,
        f"made({calibration}, {{}})",
        "log",
        "made(null, null)",
        "log",
        f"(fails = true, made({calibration}, {{}}))",
        "log",
        before=before,
    )
    removed = [] if keeps else ["remove c"]
    steps = ["calibrating 1 frames", "calibrate", "integrating 1 frames", "integrate c"]
    assert whole == {"rejected": [[1, 2]], "k": [0.5], "pixels": "image"}
    assert log == log_of_failed == [*steps, "writing the master", "close i", *removed]
    assert uncalibrated == {"rejected": [[1, 2]], "k": []}
    assert its_log == ["integrating 1 frames", "integrate f", "writing the master", "close i"]
    assert failed == "full"


# user.js, all_by_hand.js -----------------------------------------------------------------


def test_warnings_in_a_log_are_recorded_once(site: Site) -> None:
    lines = (
        "** Warning: one",
        "note",
        "[2026-01-15 21:00:00] ** Warning:  two",
        "** Warning: one",
        "*** Error: x",
        " x ** Warning: y",
    )
    log = json.dumps("\n".join(lines))
    assert results_of(site, f"warningsIn({log})", "warningsIn('')") == [
        [{"kind": "other", "text": "one"}, {"kind": "other", "text": "two"}],
        [],
    ]


def test_the_record_of_a_master_has_its_numbers(site: Site, tmp_path: Path) -> None:
    folder = tmp_path.as_posix()
    record = {
        "frames": [{"path": "a", "mtime_ns": "1768500000123456789"}, {"path": "b"}],
        "versions": {"calmasters": "1"},
        "warnings": [{"kind": "script", "text": "by hand"}],
        "digest": "aa",
    }
    level = "level: {limit: 0.25, kind: 'level', text: 'is %1 ADU'}"
    job = f"{{record: {json.dumps(record)}, recordFile: '{folder}/r', type: 'dark', {level}}}"
    pixels = "{mean: 0.5, median: 0.5, minimum: 0, maximum: 1}"
    result = f"{{rejected: [[1, 2], [3, 4]], k: %s, pixels: {pixels}}}"
    before = """
    var size = 77;
    fileSize = function () { return size; };
    var warning = [{kind: "other", text: "odd"}];
    """
    uncalibrated = job.replace(f"{folder}/r", f"{folder}/uncalibrated")
    assert (
        results_of(
            site,
            f"writeRecord({job}, {result % '[0.5, 1]'}, warning, 1.5)",
            f"(size = null, writeRecord({uncalibrated}, {result % '[]'}, [], 1.5))",
            before=before,
        )
        == ["undefined"] * 2
    )
    text = (tmp_path / "r").read_text()
    assert '  "mtime_ns": 1768500000123456789,' in text.replace("   ", "  ")
    assert text.startswith('{\n "frames": [\n')
    level_warning = {"kind": "level", "text": "is 32768 ADU"}
    warnings = [*record["warnings"], {"kind": "other", "text": "odd"}, level_warning]
    assert json.loads(text) == {
        **record,
        "frames": [
            {"path": "a", "mtime_ns": 1768500000123456789, "low": 1, "high": 2, "k": 0.5},
            {"path": "b", "low": 3, "high": 4, "k": 1},
        ],
        "rejected_low": 4,
        "rejected_high": 6,
        **{"mean": 0.5, "median": 0.5, "minimum": 0, "maximum": 1, "seconds": 1.5},
        "versions": {"calmasters": "1", "PixInsight": "1.9.4"},
        "warnings": warnings,
        "warning_count": 3,
        "master_bytes": 77,
    }
    stored = json.loads((tmp_path / "uncalibrated").read_text())
    assert [frame["k"] for frame in stored["frames"]] == [None, None]
    assert stored["warnings"] == [*record["warnings"], level_warning]
    assert "master_bytes" not in stored


def test_a_level_that_is_wrong_is_said(site: Site) -> None:
    def level(kind: str, minimum: float, median: float) -> str:
        job = f"{{type: '{kind}', level: {{limit: 0.25, kind: 'level', text: 'is %1 ADU'}}}}"
        return f"levelWarnings({job}, {{minimum: {minimum}, median: {median}}})"

    dark = [{"kind": "level", "text": "is 32768 ADU"}]
    assert results_of(
        site,
        level("bias", 0, 0.25),
        level("bias", 0, 0.5),
        level("flat", 0.125, 0.5),
        level("flat", 0.126, 0.5),
        level("flat", 0, 0.5),
    ) == [[], dark, dark, [], dark]


def test_a_dark_that_was_not_scaled_is_refused(site: Site) -> None:
    refusal = "Error: the dark of another exposure cannot be scaled"
    results = results_of(
        site,
        "requireScaledDark({mustScaleDark: true}, [0.5, 1])",
        "requireScaledDark({mustScaleDark: true}, [0.5, 0.9])",
        "requireScaledDark({mustScaleDark: false}, [1])",
        "requireScaledDark({mustScaleDark: true}, [])",
    )
    assert [str(each).startswith(refusal) for each in results] == [True, False, False, False]


def test_what_a_job_needs_must_be_there(site: Site, tmp_path: Path) -> None:
    (tmp_path / "bias").touch()
    (tmp_path / "record").write_text('{"digest": "aa"}')

    def ready(digest: str, path: str = "bias", script: str = "null", problem: str = "null") -> str:
        used = (
            f"{{kind: 'bias', path: '{tmp_path.as_posix()}/{path}', digest: {digest}, "
            f"recordFile: '{tmp_path.as_posix()}/record', script: {script}}}"
        )
        return f"requireReady({{problem: {problem}, used: [{used}], frames: []}})"

    path = f"Error: its bias {tmp_path.as_posix()}"
    again = "run 'snakemake scripts' again"
    assert results_of(
        site,
        ready("null"),
        ready("'aa'"),
        ready("'bb'"),
        ready("'bb'", script="'b.js'"),
        ready("null", path="none"),
        ready("null", path="none", script="'b.js'"),
        ready("null", problem="'too few'"),
    ) == [
        *["undefined"] * 2,
        f"{path}/bias was made by another program, or of other frames or settings: {again}",
        f"{path}/bias was made by another program, or of other frames or settings: run its script "
        "first: b.js",
        f"{path}/none is missing: {again}",
        f"{path}/none is missing: run its script first: b.js",
        "Error: PixInsight cannot make this master: too few",
    ]


def test_a_master_is_up_to_date_by_its_record(site: Site, tmp_path: Path) -> None:
    job = make_job(site, FrameType.BIAS)
    write_scripts(
        [("bias", job)], site.engine(), site.input_dir, site.output_dir, tmp_path / "scripts"
    )
    script = (tmp_path / "scripts" / "all.js").read_text()
    (tmp_path / "master").touch()
    record = {"digest": "aa", "bias_job": "bb", "dark_job": ""}
    (tmp_path / "record").write_text(json.dumps(record))

    def is_current(made: str = "[]", master: str = "master", **changes: str) -> str:
        folder = tmp_path.as_posix()
        wanted = json.dumps({**record, **changes})
        job = (
            f"{{master: '{folder}/{master}', recordFile: '{folder}/record', record: {wanted}, "
            "used: [{path: 'a'}]}"
        )
        return f"isUpToDate({job}, {made})"

    assert results_of(
        site,
        is_current(),
        is_current(made="['b']"),
        is_current(made="['b', 'a']"),
        is_current(master="none"),
        is_current(digest="ab"),
        is_current(bias_job="bc"),
        is_current(dark_job="bc"),
        script=script,
    ) == [True, True, *[False] * 5]


# session.js, runner.js -------------------------------------------------------------------


def test_a_session_makes_what_it_is_asked_for_until_it_ends(site: Site, tmp_path: Path) -> None:
    session = {"folder": tmp_path.as_posix(), "poll_ms": 1, "patience_ms": 60_000}
    script = session_text(session, site.engine().options)
    assert script.endswith("serve(SESSION);\n")
    script = script.replace("serve(SESSION);\n", "console.show();")
    before = f"""
    var ran = [], naps = 0, folder = '{tmp_path.as_posix()}';
    function write(name, text) {{ File.writeTextFile(folder + "/" + name, text); }}
    runForRunner = function (job) {{
       ran.push(job.n);
       if (job.n < 2)
          write("job.json", '{{"n": 2}}');
    }};
    sleep = function (milliseconds) {{
       naps += milliseconds;
       if (naps === 3)
          write("beat", "");
       if (naps === 5)
          write("end", "");
    }};
    """
    assert results_of(
        site,
        "(write('job.json', '{\"n\": 1}'), serve(SESSION), ran)",
        "naps",
        "[take(folder + '/beat'), take(folder + '/job.json'), take(folder + '/none')]",
        "(write('x', 'text'), take(folder + '/x'))",
        "(ran = [], write('job.json', '{\"n\": 3}'), serve(SESSION), ran)",
        before=before,
        script=script,
    ) == [[1, 2], 5, [None, None, None], "text", []]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("beats", [True, False])
def test_a_session_ends_without_heartbeats(site: Site, tmp_path: Path, beats: bool) -> None:
    session = {"folder": tmp_path.as_posix(), "poll_ms": 1, "patience_ms": 100}
    script = session_text(session, site.engine().options)
    script = script.replace("serve(SESSION);\n", "console.show();")
    before = f"""
    var naps = 0, now = 0;
    Date.now = function () {{ return now; }};
    sleep = function () {{
       now += 60;
       if ({str(beats).lower()} && ++naps < 4)
          File.writeTextFile(SESSION.folder + "/beat", "");
    }};
    """
    assert results_of(site, "(serve(SESSION), now)", before=before, script=script) == [
        300 if beats else 120
    ]
