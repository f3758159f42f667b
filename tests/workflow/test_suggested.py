"""Settings that make refused frames usable, given back to Snakemake as it suggests them."""

import yaml


def add_session(add_frame):
    """Frames of a camera that lost its GAIN, and of an old one that never wrote it."""
    for number in range(3):
        time = f"2026-01-15T20:00:{number:02}"
        add_frame(f"lost/{number}.fits", "bias", {"GAIN": None, "DATE-OBS": time})
        add_frame(f"old/{number}.fits", "bias", {"INSTRUME": "ST-7", "GAIN": None})
        add_frame(f"cold/{number}.fits", "dark", {"IMAGETYP": "Cold-Dark-X", "DATE-OBS": time})


def test_what_a_run_suggests_makes_the_masters_with_configfile(workflow, add_frame):
    add_session(add_frame)
    own = {"assume_keywords": {"ST-7": {"GAIN": 1}}, "type_words": {"dark": ["a"]}}
    workflow.configure(**own)
    workflow.run("masters")
    assert len(workflow.masters) == 1
    suggested = workflow.output / "suggested.yaml"
    content = yaml.safe_load(suggested.read_text(encoding="utf-8"))
    assert content == {
        "assume_keywords": {"ATR585M": {"GAIN": 100}, "ST-7": {"GAIN": 1}},
        "type_words": {"dark": ["a", "colddarkx"]},
    }

    using = ("masters", "--configfile", str(suggested))
    run = workflow.run_as_predicted(*using)
    assert [name.split("_INSTRUME")[0] for name in run.jobs if name != "inventory"] == [
        "masterBias",
        "masterDark_EXPOSURE-60.00",
    ]
    assert "masterBias_INSTRUME-ST-7_SETTEMP--10.00_GAIN-1_" in " ".join(workflow.masters)
    assert yaml.safe_load(suggested.read_text(encoding="utf-8")) == content, "it is in use"


def test_a_camera_that_writes_no_gain_makes_masters_and_says_so(workflow, add_frame):
    for number in range(3):
        time = f"2026-01-15T20:00:{number:02}"
        add_frame(f"old/{number}.fits", "bias", {"GAIN": None, "DATE-OBS": time})
    workflow.run("masters")
    assert len(workflow.masters) == 1
    assert "ATR585M writes no GAIN; all" in workflow.run("summary").output
    assert not (workflow.output / "suggested.yaml").exists()
