"""What the build adds: the workflow's files in the wheel, and what depends on the repository."""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

#: Files that Snakemake reads, and those that they need; calmasters/__init__.py finds them.
WORKFLOW_FILES = (
    "Snakefile",
    "config",
    "environment.yml",
    "pixinsight",
    "profiles",
    "report",
    "rules",
    "scripts",
)


class WorkflowFiles(BuildHookInterface):
    """Puts the workflow into the wheel. An editable installation uses the files in their place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to those of the wheel."""
        if version != "editable":
            places = {name: f"calmasters/workflow_files/{name}" for name in WORKFLOW_FILES}
            build_data["force_include"].update(places)


class Repository(MetadataHookInterface):
    """Names the repository whose hosted workflow builds, and no other one.

    Links and pictures of README.md are relative, as a clone needs them. Where the package is
    published there are no other files, so they lead to the commit that was built.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        """Add README.md, and if this is such a build, the URLs."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        server, repository = map(os.environ.get, ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
        if server and repository:
            home = f"{server}/{repository}"
            metadata["urls"] = {
                "Source": home,
                "Changelog": f"{home}/blob/HEAD/CHANGELOG.md",
                "Issues": f"{home}/issues",
                "Security": f"{home}/security/policy",
            }
            commit = os.environ.get("GITHUB_SHA", "HEAD")
            text = re.sub(r"(?<=\]\()(?![a-z]+:|#)", f"{home}/blob/{commit}/", text)
            text = re.sub(r"(?<= src=\")(?![a-z]+:)", f"{home}/raw/{commit}/", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
