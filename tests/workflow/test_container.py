"""The container and the pods that run it: as far as that goes without either.

What the Dockerfile copies is laid out as in the image, and the command of a pod is run there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from real_workflow import REPOSITORY, Workflow

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
PROFILE = REPOSITORY / "profiles" / "kubernetes"


@pytest.fixture
def pod() -> dict[str, Any]:
    job = yaml.safe_load((PROFILE / "masters.yaml").read_text(encoding="utf-8"))
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def lay_out(image: Path) -> Path:
    """Copy what the Dockerfile copies, to where it does below ``image``; return its folder."""
    folder = image / re.findall(r"^WORKDIR /(.+)$", DOCKERFILE, re.MULTILINE)[0]
    folder.mkdir(parents=True)
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            path = REPOSITORY / source
            if path.is_dir():
                shutil.copytree(path, folder / target)
            else:
                shutil.copy(path, folder / target)
    return folder


def test_a_pod_makes_the_masters_of_its_shard(session, pod, tmp_path):
    image = tmp_path / "image"
    folder = lay_out(image)
    shard = tmp_path / "data" / "shards" / "7"
    shard.parent.mkdir(parents=True)
    (container,) = pod["containers"]
    mount = container["volumeMounts"][0]["mountPath"]
    (entrypoint,) = re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)
    shutil.copytree(session.frames, shard / "frames")
    command = [
        part.replace("$(SHARD)", "7").replace(f"={mount}/", f"={tmp_path}/data/")
        for part in [*json.loads(entrypoint)[1:], *container["args"]]
    ]
    command = [re.sub(r"(^|=)/opt/", rf"\g<1>{image}/opt/", part) for part in command]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *command],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = Workflow(shard)
    assert len(made.masters) == len(made.plan["masters"]) == 5


def test_a_pod_s_limits_are_those_that_its_snakemake_keeps(pod):
    profile = yaml.safe_load((PROFILE / "config.yaml").read_text(encoding="utf-8"))
    limits = pod["containers"][0]["resources"]["limits"]
    assert int(limits["cpu"]) == profile["cores"]
    spare_mb = int(limits["memory"].removesuffix("G")) * 1000 - profile["resources"]["mem_mb"]
    assert 300 <= spare_mb <= 1000


def test_a_pod_mounts_the_volume_that_it_claims(pod):
    (container,) = pod["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    image_data = re.findall(r"^WORKDIR (.+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert container["volumeMounts"][0]["mountPath"] == image_data
