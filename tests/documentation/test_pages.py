"""What the pages of the documentation show is true: commands, settings, links, output."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from shown_commands import PAGES, accept, check_settings, commands, targets, yaml_blocks
from shown_sessions import PAGES as PLAYED
from shown_sessions import REPOSITORY, comparable, played, sessions, shortened

from calmasters.errors import ConfigError
from calmasters.headers.dialects import ALIASES

TESTS = REPOSITORY / "tests"


def name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


# --- commands and settings ------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_of_a_page_is_accepted_by_its_program(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = []
    for command in commands(page):
        try:
            accept(command.words)
        except (AssertionError, ConfigError, SystemExit) as error:
            wrong.append(f"{command}: {error} {capsys.readouterr().err}")
    assert wrong == []


@pytest.mark.parametrize(
    "words",
    [
        "snakemake mastres",
        "snakemake --no-such-option masters",
        "snakemake masters --config minimum_frame=5",
        "snakemake masters --config minimum_frames=1",
        "calmasters master frames",
        "calmasters masters frames --set minimum_frame=5",
        "calmasters masters frames -- --no-such-option",
        "make no-such-target",
        "python -m calmasters.no_such_module",
        "python benchmarks/no_such_file.py",
        "pip install calmasters[nothing]",
        "unknown-program masters",
    ],
)
def test_a_command_with_a_mistake_is_found(words: str) -> None:
    with pytest.raises((AssertionError, ConfigError, SystemExit)):
        accept(words.split())


def test_the_pages_have_commands_of_every_kind() -> None:
    found = {command.words[0] for page in PAGES for command in commands(page)}
    assert {"snakemake", "calmasters", "make", "python", "pip"} <= found


def test_every_target_of_the_pages_is_run_by_a_test() -> None:
    """The commands of most pages are only read here; their targets are tried by other tests."""
    tests = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    tried = {*re.findall(r'\.(?:run|show|run_as_predicted)\([^)]*"(\w+)"', tests)}
    shown = {word for page in PAGES for command in commands(page) for word in targets(command)}
    assert {"masters", "report", "summary"} <= shown
    assert shown <= tried


@pytest.mark.parametrize("page", [page for page in PAGES if [*yaml_blocks(page)]], ids=name)
def test_settings_of_a_page_are_a_configuration(page: Path) -> None:
    for settings in yaml_blocks(page):
        check_settings(settings)


@pytest.mark.parametrize("page", ["no-dark", "refused-frames"])
def test_messages_of_a_page_are_those_of_the_program(page: str) -> None:
    text = (REPOSITORY / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
    table = text.partition("| the message has |")[2].partition("\n\n")[0]
    messages = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    code = " ".join(path.read_text("utf-8") for path in (REPOSITORY / "calmasters").rglob("*.py"))
    assert len(messages) > 4
    assert [message for message in messages if message not in code] == []


def test_the_page_of_keywords_has_the_cards_that_are_read_and_written() -> None:
    page = (REPOSITORY / "docs" / "keywords.md").read_text(encoding="utf-8")
    read, written = page.split("## Cards of masters")
    cards = {
        keyword: tuple(re.findall("`(.+?)`", cell))
        for keyword, cell in re.findall(r"^\| ([A-Z-]+) \| .+ \| (.+) \|$", read, re.MULTILINE)
        if cell.startswith("`")
    }
    assert cards == {keyword: names for keyword, names in ALIASES.items() if keyword != "FILTER"}
    source = (REPOSITORY / "calmasters" / "model" / "master_record.py").read_text(encoding="utf-8")
    names = {*re.findall(r'Card\(\s*"([A-Z-]+)"', source)}
    assert len(names) > 10
    assert names <= {*re.findall(r"`([A-Z-]+)`", written)}


# --- links ----------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that headings have on a code-hosting site and in the documentation."""
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", [*PAGES, REPOSITORY / "CHANGELOG.md"], ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    broken = []
    for link in re.findall(r"(?<=\]\()[^)\s]+(?=\))|(?<= src=\")[^\"]+", text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        is_page = target.suffix == ".md"
        if not link.startswith(("http:", "https:", "mailto:")) and not (
            target.exists() and (not anchor or not is_page or anchor in anchors(target))
        ):
            broken.append(link)
    assert broken == []


# --- terminal sessions ----------------------------------------------------------------------------

#: Its runs are all dry, so that it takes seconds.
QUICK = "docs/how-to/dark-flats.md"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name(page), marks=() if name(page) == QUICK else pytest.mark.slow)
        for page in PLAYED
    ],
)
def test_a_page_shows_what_its_commands_print(page: Path, tmp_path: Path) -> None:
    shown = sessions(page)
    printed = played([command.command for command in shown], tmp_path)
    for command, output in zip(shown, printed, strict=True):
        printed_part = shortened(output, command.output)
        assert comparable(printed_part) == comparable(command.output), command.command


def test_lines_that_a_page_leaves_out_may_be_any() -> None:
    shown = "first\n…\nlast\n"
    assert shortened("first\na\nb\nlast\n", shown) == shown
    assert shortened("first\na\nother\n", shown) != shown
    assert shortened("other\na\nlast\n", shown) != shown
    assert shortened("first\na\n", "first\na\n") == "first\na\n"


def test_the_pages_that_are_played_are_those_with_output() -> None:
    assert {"README.md", "docs/first-night.md", QUICK} <= {name(page) for page in PLAYED}


# --- the site -------------------------------------------------------------------------------------


def site_pages() -> dict:
    """The functions of docs/site_pages.py, which needs no Sphinx."""
    from runpy import run_path

    return run_path(str(REPOSITORY / "docs" / "site_pages.py"))


def test_every_page_is_in_the_navigation() -> None:
    contents = site_pages()["navigation"](REPOSITORY / "docs")
    listed = set(re.findall(r"^/docs/(\S+)$", contents, re.MULTILINE))
    pages = {page.relative_to(REPOSITORY / "docs") for page in PAGES if "docs" in page.parts}
    expected = {
        str(path.with_suffix("").as_posix()) for path in pages if path.parts[0] != "decisions"
    }
    assert expected | {"decisions/README", "generated/settings", "generated/api"} <= listed


def test_a_page_that_nobody_listed_is_in_a_section_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Docs\n\n## Reference\n\n| [a](a.md) | text |\n")
    for page in ("a.md", "b.md"):
        (tmp_path / page).write_text("# Page\n")
    contents = site_pages()["navigation"](tmp_path)
    assert re.findall(r":caption: (.+)", contents) == ["Documentation", "Reference", "More"]
    assert contents.index("More") < contents.index("/docs/b\n")


def test_the_page_of_settings_has_every_key_with_its_default() -> None:
    folder = REPOSITORY / "config"
    schema, defaults = (
        yaml.safe_load((folder / file).read_text(encoding="utf-8"))
        for file in ("config.schema.yaml", "config.yaml")
    )
    page = site_pages()["settings_page"](schema, defaults)
    first, *others = page.split("\n## ")
    tables = {part.partition("\n")[0]: part for part in others}
    plain = set(re.findall(r"^\| `(\w+)` ", first, re.MULTILINE))
    assert plain | {*tables} == {*schema["properties"]}
    assert "| `native`, `pixinsight`, `siril` | `native` |" in first
    assert "| whole number at least 3 | `3` |" in first
    for kind, values in defaults["integration"].items():
        assert all(f"\n| `{kind}.{key}` |" in tables["integration"] for key in values)
    assert re.search(r"\| `flat.sigmaLow` .* \| `4.0` \|", tables["integration"])


def test_only_plain_arrows_are_drawn() -> None:
    draw = site_pages()["dot_of_mermaid"]
    assert "a -> b;" in draw(["flowchart LR", "    a --> b"])
    with pytest.raises(ValueError, match="arrows"):
        draw(["flowchart LR", "a[text] --> b"])
