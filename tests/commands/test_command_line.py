"""The command ``calmasters``: what it says of itself, and what it has Snakemake do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from calmasters import SNAKEFILE, __version__
from calmasters.commands.command_line import (
    _pair,
    _settings,
    _without_empty_files,
    command_parser,
    joined_options,
    main,
)
from calmasters.commands.settings_file import SETTINGS_FILE, settings_text
from calmasters.commands.suggested import WHERE, as_typed, renamed

CONFIG = SNAKEFILE.parent / "config" / "config.yaml"

COMMANDS = (
    *("masters", "report", "summary", "why", "orphans", "scripts", "engine-check", "compare"),
    *("bug-report", "watch", "init", "pixel"),
)


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process do not see how the command was called."""
    monkeypatch.setenv(WHERE, "")


HEAVY = ("snakemake", "pandas", "numpy", "yaml", "astropy", "shtab")


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=lambda words: [*words])
def test_help_imports_nothing_that_takes_long(words: list[str]) -> None:
    program = (
        "import sys\nfrom calmasters.commands.command_line import main\n"
        f"try: main({[*words, '--help']!r})\n"
        f"finally: print(*set(sys.modules) & set({HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.split() == []
    assert done.stdout.startswith(" ".join(["usage: calmasters", *words]))
    if not words:
        assert all(f"\n    {name} " in done.stdout for name in COMMANDS)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"calmasters {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_the_completion_of_a_shell_is_printed(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", shell])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in COMMANDS)


def test_python_runs_it_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "calmasters", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"calmasters {__version__}\n"


INTERRUPTED = """
import signal, sys
from calmasters.commands.command_line import main

class CtrlC:
    def find_spec(self, name, *_):
        if name == "snakemake":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
sys.exit(main(["masters", "frames"]))
"""


def test_ctrl_c_while_snakemake_is_imported_shows_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "Interrupted. Run the same command again.\n"


# --- options for Snakemake ------------------------------------------------------------------------

NAMES = ("--config", "-C")


@pytest.mark.parametrize(
    ("options", "joined"),
    [
        ([], ["--config", "ours=1"]),
        (["-k"], ["-k", "--config", "ours=1"]),
        (["--config", "a=1", "b=2", "-k"], ["-k", "--config", "ours=1", "a=1", "b=2"]),
        (["-C", "a=1"], ["--config", "ours=1", "a=1"]),
        (["-Ca=1"], ["--config", "ours=1", "a=1"]),
        (["--config=a=1", "-j", "2"], ["-j", "2", "--config", "ours=1", "a=1"]),
    ],
)
def test_settings_of_both_sides_of_the_dashes_count(options: list[str], joined: list[str]) -> None:
    """Snakemake takes the last --config only: it would silently forget where the frames are."""
    assert joined_options(options, NAMES, ["ours=1"]) == joined


def test_without_settings_the_options_stay() -> None:
    assert joined_options(["--config", "a=1", "-k"], NAMES, []) == ["-k", "--config", "a=1"]
    assert joined_options(["-k"], NAMES, []) == ["-k"]


# --- the settings file ----------------------------------------------------------------------------


def test_init_writes_settings_that_are_read_as_the_folders_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = tmp_path / "Jürgens frames"
    frames.mkdir()
    assert main(["init", str(frames), "--output", str(tmp_path / "out: put")]) == 0
    file = frames / SETTINGS_FILE
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == {
        "input_dir": frames.as_posix(),
        "output_dir": (tmp_path / "out: put").as_posix(),
    }
    assert f"Wrote {file}" in capsys.readouterr().out


def test_every_setting_is_there_with_its_default_behind_one_sign(tmp_path: Path) -> None:
    written = settings_text(tmp_path, None).splitlines()
    default = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    settings = [
        line
        for line in CONFIG.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    commented = [f"#{line}" for line in settings if f"#{line}" in written]
    assert [line for line in settings if f"#{line}" not in commented] == ["input_dir: frames"]
    uncommented = yaml.safe_load("\n".join(line[1:] for line in commented))
    assert uncommented == {key: value for key, value in default.items() if key != "input_dir"}


def test_init_replaces_no_file_and_makes_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "no")]) == 1
    assert "is no folder" in capsys.readouterr().err
    (tmp_path / SETTINGS_FILE).write_text("mine")
    assert main(["init", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / SETTINGS_FILE).read_text() == "mine"


def test_two_settings_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        (folder / SETTINGS_FILE).write_text("minimum_frames: 4\n")
    assert main(["masters", *map(str, folders)]) == 1
    assert "both have settings for this run" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "# minimum_frames: 4\n", "---\n", "{}\n"])
def test_a_file_in_which_nothing_is_active_is_no_settings(tmp_path: Path, content: str) -> None:
    empty, other = tmp_path / "empty.yaml", tmp_path / "other.yaml"
    empty.write_text(content)
    other.write_text("minimum_frames: 4\n")
    given = ["--configfile", str(empty), str(other), "no.yaml"]
    assert _without_empty_files(["-k", *given]) == ["-k", "--configfile", str(other), "no.yaml"]
    assert _without_empty_files(["-k", *given[:2]]) == ["-k"]
    assert _without_empty_files(["-k"]) == ["-k"]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"minimum_frames: 4\nround: {SET-TEMP: 10\n", ", line 3: is not YAML"),
        (b"minimum_frames: 4\n\tengine: siril\n", ", line 2: is not YAML"),
        (b"# mine\n\nminimum_frames 4\n", ", line 3: is no setting"),
        (b"- minimum_frames: 4\n", ", line 1: is no setting"),
        (b"engine: \xff\n", ": cannot be read as YAML in UTF-8"),
    ],
)
def test_a_typo_is_reported_with_file_line_and_what_to_do(
    tmp_path: Path, content: bytes, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / SETTINGS_FILE
    file.write_bytes(content)
    assert main(["masters", str(tmp_path)]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"calmasters: {file}{place}")
    assert "correct it, or put # before it" in printed or "and save it as UTF-8" in printed


@pytest.mark.parametrize(
    ("given", "pair"),
    [
        ("round: {SET-TEMP: 10}", "round={SET-TEMP: 10}"),
        ("round={SET-TEMP: 10}", "round={SET-TEMP: 10}"),
        ("exclude:\n- a.fits", "exclude=- a.fits"),
        ("engine=", "engine="),
    ],
)
def test_a_setting_is_taken_as_messages_spell_it(given: str, pair: str) -> None:
    assert _pair(given) == pair


@pytest.mark.parametrize("given", ["minimum_frames", "round:10", "=5", "a.b=5"])
def test_what_is_no_setting_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("masters", "watch"):
        assert main([command, "frames", "--set", given]) == 1
        assert "is no setting; give it as KEY=VALUE" in capsys.readouterr().err


# --- commands in messages -------------------------------------------------------------------------


def test_a_module_suggests_the_rules_of_its_outer_workflow() -> None:
    names = {"report": "a_report", "orphans": "a_orphans"}
    assert renamed("See: snakemake report", names) == "See: snakemake a_report"
    message = "run 'snakemake orphans --config prune=true' or snakemake -n masters"
    assert renamed(message, names) == message.replace("orphans", "a_orphans")
    assert renamed(message, {}) == message


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("See: snakemake summary", "See: calmasters summary in -o out"),
        ("run 'snakemake masters' first", "run 'calmasters masters in -o out' first"),
        ("'snakemake -n masters' all", "'calmasters masters in -o out -n' all"),
        (
            "or run: snakemake orphans --config prune=true; then",
            "or run: calmasters orphans in -o out -- --config prune=true; then",
        ),
        (
            "snakemake compare --config 'engines=[native,siril]'",
            "calmasters compare in -o out -- --config 'engines=[native,siril]'",
        ),
        ("snakemake engine_check", "calmasters engine-check in -o out"),
        (
            "snakemake masters --configfile 'it'\"'\"'s B/a.yaml'",
            "calmasters masters in -o out -- --configfile 'it'\"'\"'s B/a.yaml'",
        ),
        (
            'snakemake masters --configfile "out B/a.yaml"',
            'calmasters masters in -o out -- --configfile "out B/a.yaml"',
        ),
        ("Snakemake removes it", "Snakemake removes it"),
        ("set it with --config input_dir=...", "set it with --set input_dir=..."),
    ],
)
def test_suggested_commands_are_those_that_the_user_types(
    message: str, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WHERE, raising=False)
    assert as_typed(message) == message
    monkeypatch.setenv(WHERE, "in -o out")
    assert as_typed(message) == typed


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["masters", "a b", "--output", "1"], {"input_dir": "a b", "output_dir": "1"}),
        (["masters", "a", "2", "--engine", "siril"], {"input_dir": ["a", "2"], "engine": "siril"}),
        (["compare", "--engines", "native,siril"], {"engines": ["native", "siril"]}),
        (["orphans", "--prune", "--set", "layout=flat"], {"prune": True, "layout": "flat"}),
    ],
)
def test_options_are_settings(words: list[str], settings: dict[str, object]) -> None:
    pairs = [pair.partition("=") for pair in _settings(command_parser().parse_args(words))]
    assert {key: yaml.safe_load(value) for key, _, value in pairs} == settings


def test_the_watch_runs_masters_with_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], list[str], dict[str, object]]] = []
    monkeypatch.setattr(
        "calmasters.commands.watch.run_after_arrivals",
        lambda folders, command, **options: asked.append((folders, command, options)),
    )
    assert main(["watch", "night", "--engine", "siril", "-n", "--poll", "--", "--verbose"]) == 0
    ((folders, command, options),) = asked
    assert folders == ["night"]
    assert command[:3] == [sys.executable, "-m", "calmasters.commands.command_line"]
    assert command[3:5] == ["masters", "night"]
    assert command[5:] == ["--engine", "siril", "--dry-run", "--", "--verbose"]
    assert options == {"quiet_s": 30.0, "polls": True}
