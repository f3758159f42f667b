"""The stand-in is strict: what fails in PixInsight, perhaps without a message, fails here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from jobs_for_pixinsight import InProcess, Program
from standin.commandline import DialogError, parse
from standin.core import Behaviour, Core
from standin.images import Image, Keyword, read, write
from standin.process import constants, table
from standin.program import run_script

from calmasters.engines.subprocesses import end


@pytest.fixture
def run(program: Program) -> Runner:
    return Runner(program)


class Runner:
    """Runs JavaScript code; returns the output of the console."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def __call__(self, code: str, **behaviour: object) -> list[str]:
        return self.core(code, **behaviour).console

    def core(self, code: str, **behaviour: object) -> Core:
        core = InProcess(Behaviour(**behaviour), self.program.folder, ())  # type: ignore[arg-type]
        run_script(core, code)
        return core


def write_frames(folder: Path, count: int, shape: tuple[int, int] = (4, 6)) -> list[str]:
    paths = []
    for number in range(count):
        path = folder / f"frame{number}.xisf"
        write(path, [Image(np.full(shape, 0.1 * (number + 1), np.float32), [])])
        paths.append(path.as_posix())
    return paths


def rows(paths: list[str]) -> str:
    return "[" + ",".join(f"[true, '{path}', '', '']" for path in paths) + "]"


INTEGRATE = """
var P = new ImageIntegration;
function K(name) {{ var v = ImageIntegration.prototype[name];
   return v === undefined ? ImageIntegration[name] : v; }}
P.weightMode = K("DontCare"); P.normalization = K("NoNormalization");
P.rejectionNormalization = K("NoRejectionNormalization");
P.images = {rows};
{more}
console.writeln("returned " + P.executeGlobal());
console.writeln("made " + P.integrationImageId);
"""


# 1-5: the command line --------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["-n", "-r", "script.js"],
        ["-n", "-a=x"],
        ["-n", "-p=x"],
        ["--forced-exit"],
        ["--new-instance"],
        ["script.js"],
    ],
    ids=" ".join,
)
def test_an_unknown_option_opens_a_dialog(arguments: list[str]) -> None:
    with pytest.raises(DialogError):
        parse(arguments)


def test_the_script_is_split_at_commas() -> None:
    line = parse(["-n=2", "--run=/a b/x,1,y=2.js", "--force-exit"])
    assert (line.script, line.arguments) == ("/a b/x", ("1", "y=2.js"))
    assert line.new_instance
    assert line.force_exit


@pytest.mark.parametrize("code", ["throw new Error('x');", "this is no JavaScript", "1;"])
def test_the_exit_code_is_always_0_and_the_console_silent(program: Program, code: str) -> None:
    script = program.folder / "script.js"
    script.write_text("console.writeln('hello');" + code)
    done = subprocess.run(
        [program.binary, "-n", f"-r={script}", "--force-exit"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "GLES" in done.stderr


def test_without_n_a_running_instance_gets_the_script(program: Program) -> None:
    (program.folder / "running").touch()
    script = program.folder / "script.js"
    script.write_text("")
    subprocess.run([program.binary, f"-r={script}"], check=True, timeout=60, capture_output=True)
    assert not (program.folder / "journal.jsonl").exists()


@pytest.mark.parametrize("arguments", [["-n"], ["-n", "-r", "x.js", "--force-exit"]])
def test_without_force_exit_or_with_a_dialog_it_never_ends(
    program: Program, arguments: list[str]
) -> None:
    process = subprocess.Popen(
        [program.binary, *arguments], stderr=subprocess.DEVNULL, start_new_session=True
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    end(process)


# 6: two engines --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    ["let a = 1;", "const a = 1;", "(() => 1)();", "`a`;", "class A {}", "[1].map(x => x);"],
)
def test_the_old_engine_does_not_start_newer_code(run: Runner, code: str) -> None:
    assert "began" not in run("console.writeln('began');" + code)
    assert "began" in run("#engine v8\nconsole.writeln('began');" + code, version="1.9.4")


@pytest.mark.parametrize("code", ["'ab'.endsWith('b')", "new Map", "Object.assign({})", "Promise"])
def test_the_old_engine_has_no_newer_library(run: Runner, code: str) -> None:
    script = code + "; console.writeln('went on');"
    assert "went on" not in run(script)
    assert "went on" in run("#engine v8\n" + script, version="1.9.4")


def test_constants_are_on_the_prototype_or_on_the_constructor(run: Runner) -> None:
    code = "console.writeln([ImageIntegration.prototype.Average, ImageIntegration.Average].join());"
    assert run(code) == ["0,"]
    assert run("#engine v8\n" + code, version="1.9.4") == [",0"]


def test_arguments_are_in_different_objects_by_engine(run: Runner) -> None:
    code = "console.writeln(typeof jsArguments + ' ' + typeof Runtime);"
    assert run(code) == ["object undefined"]
    assert run("#engine v8\n" + code, version="1.9.4") == ["undefined object"]


@pytest.mark.parametrize(
    ("first", "behaviour"),
    [
        ("#engine v8\n", {"version": "1.9.3"}),
        ("// 1\n// 2\n// 3\n// 4\n// 5\n#engine v8\n", {"has_legacy_engine": False}),
        ("", {"version": "1.9.4", "has_legacy_engine": False}),
        ("#include <pjsr/DataType.jsh>\n", {}),
        ("// a /* confuses the preprocessor\n", {}),
    ],
)
def test_a_script_for_another_engine_is_not_started(
    run: Runner, first: str, behaviour: dict[str, object]
) -> None:
    assert "began" not in run(first + "console.writeln('began');", **behaviour)


# 7-8: process objects --------------------------------------------------------------------


@pytest.mark.parametrize(
    "assignment",
    [
        "P.sigmaHi = 3",
        "P.sigmaHigh = '3'",
        "P.sigmaHigh = NaN",
        "P.sigmaHigh = undefined",
        "P.sigmaHigh = 11",
        "P.clipLow = 1",
        "P.minMaxLow = 1.5",
        "P.rejection = 99",
        "P.rejection = ImageIntegration.prototype.NoSuchItem",
        "P.integrationImageId = 'x'",
        "P.images = [[true, 'x']]",
        "P.images = [[true, 1, '', '']]",
        "P.images = 'x'",
        "delete P.images",
    ],
)
def test_a_wrong_assignment_throws(run: Runner, assignment: str) -> None:
    attempt = f"try {{ {assignment}; }} catch (e) {{ console.writeln(e.name); }}"
    code = f"var P = new ImageIntegration; {attempt}"
    assert run(code) == ["TypeError"]


def test_a_table_is_a_copy(run: Runner) -> None:
    code = """var P = new ImageIntegration; P.images = [[true, 'a', '', '']];
    P.images[0][1] = 'b'; console.writeln(P.images[0][1]);"""
    assert run(code) == ["a"]


def test_newer_parameters_are_missing_in_older_versions(run: Runner) -> None:
    code = "console.writeln('imageType' in new ImageIntegration);"
    assert (run(code, version="1.8.9"), run(code, version="1.9.3")) == (["false"], ["true"])


@pytest.mark.parametrize(
    ("version", "has_correction", "has_type"),
    [("1.8.9", "false", "false"), ("1.8.9-3", "false", "false"), ("1.9.0", "true", "false")],
)
def test_each_version_has_its_parameters(
    run: Runner, version: str, has_correction: str, has_type: str
) -> None:
    code = "console.writeln('cosmeticCorrectionLow' in new ImageCalibration);"
    code += "console.writeln('imageType' in new ImageIntegration);"
    assert run(code, version=version) == [has_correction, has_type]


def test_an_alias_is_its_parameter(run: Runner) -> None:
    code = "var P = new ImageIntegration; P.evaluateNoise = false; console.writeln(P.evaluateSNR);"
    assert run(code) == ["false"]


def test_a_loop_over_a_process_aborts(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    aborted = []
    monkeypatch.setattr("standin.core.abort", lambda: aborted.append(True))
    run("for (var name in new ImageIntegration) {}")
    assert aborted


@pytest.mark.parametrize("process", ["ImageIntegration", "ImageCalibration"])
def test_defaults_are_valid_values_and_enumerations_have_their_items(process: str) -> None:
    from standin.process import check

    for name, row in table(process).items():
        if row["type"] != "table" and row.get("default") is not None:
            check(row["default"], row, name)
    assert len(constants(process)) > 20


# 9: ImageIntegration ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "more", "reason"),
    [
        (2, "", "less than three source images"),
        (4, 'P.rejection = K("LinearFit");', "at least five"),
        (3, 'P.weightMode = K("PSFSignalWeight");', "Zero or insignificant PSF Signal Weight"),
        (3, 'P.normalization = K("AdditiveWithScaling");', "scale estimate"),
    ],
)
def test_integration_fails_as_pixinsight_does(
    run: Runner, tmp_path: Path, count: int, more: str, reason: str
) -> None:
    code = INTEGRATE.format(rows=rows(write_frames(tmp_path, count)), more=more)
    console = run(code)
    assert "returned false" in console
    assert any(reason in line for line in console)
    assert "returned" not in " ".join(run(code, failures_throw=True))


def test_images_of_different_sizes_are_refused(run: Runner, tmp_path: Path) -> None:
    paths = write_frames(tmp_path, 3)
    write(Path(paths[1]), [Image(np.zeros((5, 6), np.float32), [])])
    console = run(INTEGRATE.format(rows=rows(paths), more=""))
    assert any("Incompatible image geometry" in line for line in console)


def test_an_integration_leaves_windows_with_unique_ids_and_maps(
    run: Runner, tmp_path: Path
) -> None:
    code = INTEGRATE.format(rows=rows(write_frames(tmp_path, 3)), more="")
    core = run.core(code + code.replace("var P", "P"))
    assert "made integration1" in core.console
    assert sorted(core.windows) == [
        "integration",
        "integration1",
        "rejection_high",
        "rejection_high1",
        "rejection_low",
        "rejection_low1",
    ]


def test_range_clipping_is_on_by_default_and_drops_zeros(run: Runner, tmp_path: Path) -> None:
    paths = write_frames(tmp_path, 3)
    write(Path(paths[0]), [Image(np.zeros((4, 6), np.float32), [])])
    core = run.core(INTEGRATE.format(rows=rows(paths), more=""))
    assert core.windows["integration"].pixels[0, 0] == pytest.approx(0.25)
    core = run.core(INTEGRATE.format(rows=rows(paths), more="P.rangeClipLow = false;"))
    assert core.windows["integration"].pixels[0, 0] == pytest.approx(0.5 / 3)


# 10: ImageCalibration --------------------------------------------------------------------

CALIBRATE = """
var P = new ImageCalibration;
P.masterFlatEnabled = false; P.masterDarkEnabled = false; P.optimizeDarks = false;
P.masterBiasPath = '{bias}'; P.outputDirectory = '{out}';
P.targetFrames = {rows};
{more}
console.writeln("returned " + P.executeGlobal());
console.writeln(P.outputData.map(function (row) {{ return row[0]; }}).join());
"""


def calibrate(run: Runner, folder: Path, more: str = "", **places: str) -> list[str]:
    paths = write_frames(folder, 2)
    frames = "[" + ",".join(f"[true, '{path}']" for path in paths) + "]"
    (folder / "out").mkdir(exist_ok=True)
    given = {"bias": paths[0], "out": (folder / "out").as_posix(), "rows": frames, **places}
    return run(CALIBRATE.format(more=more, **given))


@pytest.mark.parametrize(
    ("more", "places", "reason"),
    [
        ("P.masterBiasEnabled = false;", {}, "No master calibration frames"),
        ("P.masterDarkEnabled = true;", {}, "No master dark frame"),
        ("", {"out": "/no/such/folder"}, "output directory does not exist"),
        ("", {"rows": "[[true, '/no/such/file.fits']]"}, "No such file exists"),
        ("", {"bias": "/no/such/file.fits"}, "Unable to read"),
    ],
)
def test_calibration_fails_as_pixinsight_does(
    run: Runner, tmp_path: Path, more: str, places: dict[str, str], reason: str
) -> None:
    console = calibrate(run, tmp_path, more, **places)
    assert "returned false" in console
    assert any(reason in line for line in console)


def test_calibration_succeeds_with_one_good_frame(run: Runner, tmp_path: Path) -> None:
    good = write_frames(tmp_path, 1)[0]
    bad = tmp_path / "bad.xisf"
    bad.touch()
    console = calibrate(run, tmp_path, rows=f"[[true, '{bad}'], [true, '{good}']]")
    assert "returned true" in console
    assert console[-1].startswith(",")


def test_calibrated_frames_never_replace_others(run: Runner, tmp_path: Path) -> None:
    first = calibrate(run, tmp_path)[-1].split(",")
    second = calibrate(run, tmp_path)[-1].split(",")
    assert [Path(path).name for path in first] == ["frame0_c.xisf", "frame1_c.xisf"]
    assert [Path(path).name for path in second] == ["frame0_c_1.xisf", "frame1_c_1.xisf"]


def test_negative_samples_are_truncated(run: Runner, tmp_path: Path) -> None:
    paths = write_frames(tmp_path, 2)
    console = calibrate(run, tmp_path, bias=paths[1])
    assert read(console[-1].split(",")[0], "").pixels.max() == 0


# 11-16: windows, files, keywords, dialogs -------------------------------------------------


def test_a_missing_window_is_an_object_or_null(run: Runner) -> None:
    code = "var w = ImageWindow.windowById('x'); console.writeln(w === null ? 'null' : w.isNull);"
    assert run(code) == ["true"]
    assert run(f"#engine v8\n{code}", version="1.9.4") == ["null"]


def test_in_v8_counts_are_bigint(run: Runner, tmp_path: Path) -> None:
    code = INTEGRATE.format(rows=rows(write_frames(tmp_path, 3)), more="")
    code += "var row = P.imageData[0]; console.writeln([typeof row[0], typeof row[3]].join());"
    code += "console.writeln(typeof P.numberOfPixels); JSON.stringify(row);"
    assert run(code)[-2:] == ["number,number", "number"]
    console = run(f"#engine v8\n{code}", version="1.9.4")
    assert console[-3:-1] == ["number,bigint", "bigint"]
    assert "BigInt" in console[-1]


def test_in_v8_global_functions_are_deprecated(run: Runner) -> None:
    assert run("processEvents();") == []
    assert "deprecated" in run("#engine v8\nprocessEvents();", version="1.9.4")[0]


def test_lines_of_a_log_have_a_time(run: Runner) -> None:
    code = "console.beginLog(); console.writeln('a'); console.writeln(console.endLog());"
    assert run(code, log_is_text=True)[1].splitlines()[-1] == "[2026-11-02 21:04:05] a"


@pytest.mark.parametrize(("values", "card"), [(["100"] * 3, "100"), (["100", "100", "0"], None)])
def test_a_pedestal_of_all_frames_is_written(
    run: Runner, tmp_path: Path, values: list[str], card: str | None
) -> None:
    paths = write_frames(tmp_path, 3)
    for path, value in zip(paths, values, strict=True):
        image = read(path, "")
        write(Path(path), [Image(image.pixels, [Keyword("PEDESTAL", value, "")])])
    core = run.core(INTEGRATE.format(rows=rows(paths), more=""))
    cards = {keyword.name: keyword.value for keyword in core.windows["integration"].cards}
    assert cards.get("PEDESTAL", "").strip("'") == (card or "")


@pytest.mark.parametrize(
    "code",
    [
        "ImageWindow.windowById('integration').saveAs('/tmp/x.xisf');",
        "ImageWindow.windowById('integration').saveAs('/tmp/x.xisf', false, false, false);",
        "ImageWindow.windowById('integration').close();",
        "(new MessageBox('x')).execute();",
        "var P = new ImageCalibration; P.onError = 2; P.executeGlobal();",
    ],
)
def test_a_dialog_waits_forever(program: Program, code: str) -> None:
    core = InProcess(Behaviour(), program.folder, ())
    core.open_window("integration", Image(np.zeros((2, 2), np.float32), []))
    run_script(core, code)
    assert core.hangs


@pytest.mark.parametrize(
    ("steps", "results"),
    [
        ("create options write close", "true,true,true,true"),
        ("options create write close", "false,true,true,true"),
        ("create write options close", "true,false,true,false"),
        ("create options close", "true,true,false"),
        ("write close", "false,false"),
    ],
)
def test_a_file_is_written_in_order_or_not_at_all(
    program: Program, tmp_path: Path, steps: str, results: str
) -> None:
    core = InProcess(Behaviour(), program.folder, ())
    core.open_window("integration", Image(np.zeros((2, 2), np.float32), []))
    path = (tmp_path / "x.xisf").as_posix()
    calls = {
        "create": f"f.create('{path}', '')",
        "options": "f.setOptions(d)",
        "write": "f.writeImage(w.mainView.image)",
        "close": "f.close()",
    }
    code = "var w = ImageWindow.windowById('integration'); var d = new ImageDescription;"
    code += "d.bitsPerSample = 32; d.ieeefpSampleFormat = true;"
    code += "var f = new FileFormatInstance(new FileFormat('.xisf', false, true));"
    code += f"console.writeln([{', '.join(calls[step] for step in steps.split())}].join());"
    run_script(core, code)
    assert core.console == [results]


@pytest.mark.parametrize(
    "keywords", ["'x'", "['x']", "[new FITSKeyword('A', 1, '')]", "[new FITSKeyword('A', '1')]"]
)
def test_keywords_are_a_list_of_text(program: Program, keywords: str) -> None:
    core = InProcess(Behaviour(), program.folder, ())
    core.open_window("w", Image(np.zeros((2, 2), np.float32), []))
    run_script(core, f"ImageWindow.windowById('w').keywords = {keywords};")
    is_right = keywords.endswith("'1')]")
    assert core.windows["w"].cards == ([Keyword("A", "1", "")] if is_right else [])


@pytest.mark.parametrize(("log_is_text", "kind"), [(True, "string"), (False, "object")])
def test_a_log_ends_as_text_or_as_bytes(run: Runner, log_is_text: bool, kind: str) -> None:
    code = "console.beginLog(); var log = console.endLog(); console.writeln(typeof log);"
    assert run(code, log_is_text=log_is_text) == [kind]


def test_a_file_is_not_moved_onto_another(run: Runner, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    folder = tmp_path.as_posix()
    run(f"File.move('{folder}/a', '{folder}/b');")
    assert (tmp_path / "a").exists()
