"""What the build adds: the workflow's files in the wheel, and the URLs of the repository."""

import os
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


class RepositoryUrls(MetadataHookInterface):
    """Names the repository whose hosted workflow builds, and no other one."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the URLs, if this is such a build."""
        server, repository = map(os.environ.get, ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
        if server and repository:
            home = f"{server}/{repository}"
            metadata["urls"] = {
                "Source": home,
                "Changelog": f"{home}/blob/HEAD/CHANGELOG.md",
                "Issues": f"{home}/issues",
                "Security": f"{home}/security/policy",
            }
