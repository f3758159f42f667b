"""The documentation site, made by ``make docs``.

The pages are the Markdown files of the repository, which read well on a code-hosting site, too. So
they have no directives of Sphinx. The navigation comes from the sections of ``docs/README.md``. Two
pages are generated: all settings, from the schema, and the Python API, from docstrings.
"""

from __future__ import annotations

import sys
from pathlib import Path
from shutil import copyfile, which
from sysconfig import get_path
from typing import TYPE_CHECKING

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.ext.graphviz import Graphviz

DOCS = Path(__file__).parent
REPOSITORY = DOCS.parent
sys.path[:0] = [str(DOCS), str(REPOSITORY)]

from site_pages import api_page, dot_of_mermaid, navigation, settings_page  # noqa: E402

from calmasters import __version__  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "calmasters"
author = "The calmasters developers"
project_copyright = author
release = __version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.graphviz"]
root_doc = "README"
include_patterns = ["*.md", "config/*.md", "docs/**.md", "benchmarks/*.md"]

html_theme = "furo"
html_title = "calmasters"
html_show_sourcelink = False
html_show_copyright = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]

# make links: a heading of another site may be made by a script.
linkcheck_anchors = False

# Links to headings: pages link as a code-hosting site does.
myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
myst_fence_as_directive = ["mermaid"]

numpydoc_show_class_members = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # numpydoc names the types
# Several classes have an attribute `path`: no link is better than one to any of them.
suppress_warnings = ["ref.python"]

graphviz_output_format = "svg"
# Of the package graphviz-pure, if Graphviz is not installed.
graphviz_dot = which("dot") or which("graphviz-pure", path=get_path("scripts")) or "dot"

GENERATED = DOCS / "generated"


class Mermaid(Graphviz):
    """A flowchart that a code-hosting site draws by Mermaid, drawn here without scripts."""

    def run(self) -> list[nodes.Node]:
        """Return the picture."""
        self.content = StringList(dot_of_mermaid(self.content))
        return super().run()


def _write_generated(app: Sphinx) -> None:  # noqa: ARG001 (Sphinx gives it)
    schema, defaults = (
        yaml.safe_load((REPOSITORY / "config" / name).read_text(encoding="utf-8"))
        for name in ("config.schema.yaml", "config.yaml")
    )
    GENERATED.mkdir(exist_ok=True)
    pages = {"settings.md": settings_page(schema, defaults), "api.md": api_page()}
    for name, text in pages.items():
        path = GENERATED / name
        # An unchanged page keeps its time, so that Sphinx does not read it again.
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _add_navigation(app: Sphinx, page: str, source: list[str]) -> None:  # noqa: ARG001
    if page == root_doc:
        source[0] += navigation(DOCS)
    elif page == "docs/decisions/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n[0-9]*\n```\n"


def _write_index(app: Sphinx, error: Exception | None) -> None:
    home = Path(app.outdir, f"{root_doc}.html")
    if error is None and home.is_file():
        copyfile(home, home.with_name("index.html"))


def setup(app: Sphinx) -> None:
    """Connect the functions of this file with the steps of the build."""
    app.add_directive("mermaid", Mermaid)
    app.connect("builder-inited", _write_generated)
    app.connect("source-read", _add_navigation)
    app.connect("build-finished", _write_index)
