"""A cluster for all tests of this folder; they are skipped where Slurm is not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cluster import PROGRAMS, Cluster, running_cluster
from real_workflow import REPOSITORY, Workflow

#: Seconds to the first status check. A short job takes some seconds, since Snakemake starts twice;
#: if no job has ended by then, the plugin waits 10 s longer before each further check.
STATUS_S = "8"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("the executor plugin is not installed: use make test-slurm")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}): slurm-wlm and munge")
    # The first compilation needs more memory than the jobs of these tests request.
    subprocess.run([sys.executable, "-m", "calmasters.engines.native"], cwd=REPOSITORY, check=True)
    # Not pytest's folder: the path of a socket may have about 100 characters.
    with TemporaryDirectory(prefix="slurm-") as folder, running_cluster(Path(folder)) as running:
        yield running


class OnCluster(Workflow):
    """The workflow in its own directory, with masters made by the cluster."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        super().__init__(directory)
        self.cluster = cluster

    def command(self, *arguments: str, python: str = sys.executable) -> list[str | Path]:
        # Jobs start by the path of the Python that submits them: not by one of a test.
        profile = ("--workflow-profile", REPOSITORY / "profiles" / "slurm")
        quick = ("--slurm-init-seconds-before-status-checks", STATUS_S)
        return [*super().command(*arguments), *profile, *quick]

    @property
    def environment(self) -> dict[str, str]:
        own = self.cluster.environment
        paths = (str(REPOSITORY), os.environ.get("PYTHONPATH", ""))
        return {**own, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture
def on_cluster(cluster: Cluster, tmp_path: Path) -> OnCluster:
    return OnCluster(tmp_path, cluster)
