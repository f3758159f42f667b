"""Make the masters of an example session as a person would, in folders with unusual names.

``python .github/example_session.py`` makes an environment in ``example/Jane Doe's tools``, whose
packages are those of this Python, and runs its ``snakemake`` from ``example/Jürgens Nächte``. With
``--installed`` it runs the command ``calmasters`` of this Python instead. It fails if a command
fails, or if its last line is another one than expected.
"""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLE = Path("example").resolve()
DIRECTORY = EXAMPLE / "Jürgens Nächte"


def environment() -> str:
    """Make the environment; return the path of its Python."""
    folder = EXAMPLE / "Jane Doe's tools"
    builder = venv.EnvBuilder(symlinks=sys.platform != "win32")
    builder.create(folder)
    packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder)}))
    paths = {sysconfig.get_path("purelib"), str(REPOSITORY)}
    # UTF-8 or the encoding of the system, which Python expects before 3.13: both are ASCII here.
    (packages / "packages.pth").write_text("\n".join(sorted(paths)), encoding="utf-8")
    return str(builder.ensure_directories(folder).env_exe)


def run(*command: str, expected: str = "") -> None:
    """Run a command, show its output, and require a text in it."""
    print("$", *command, flush=True)
    done = subprocess.run(command, cwd=DIRECTORY, capture_output=True, check=False)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    sys.stdout.buffer.write(output.encode("utf-8") + b"\n")
    if done.returncode or expected not in output:
        sys.exit(f"ended with {done.returncode}; expected: {expected or 'no error'}")


def main() -> None:
    """Make the frames and the masters; then nothing is to be done; then the report."""
    shutil.rmtree(EXAMPLE, ignore_errors=True)
    DIRECTORY.mkdir(parents=True)
    if "--installed" in sys.argv:
        with_command()
    else:
        with_snakemake(environment())


def with_command() -> None:
    """Run the program that pip installed beside this Python."""
    program = shutil.which("calmasters", path=sysconfig.get_path("scripts"))
    if not program:
        sys.exit("this Python has no program calmasters")
    run(sys.executable, "-m", "calmasters.synthetic", "frames")
    options = ("frames", "--output", "made by Jürgen")
    run(program, "--version", expected="calmasters ")
    run(program, "masters", *options, "-n", expected="7 masters would be built")
    run(program, "masters", *options, expected="Masters: 7 built")
    run(program, "masters", *options, expected="Nothing to do: 7 masters are up to date")
    run(program, "report", *options, expected="report.html")


def with_snakemake(python: str) -> None:
    """Run Snakemake of an environment with the Snakefile of the repository."""
    snakemake = (python, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"))
    run(python, "-m", "calmasters.synthetic", "frames")
    run(*snakemake, "-n", "masters", expected="7 masters would be built")
    run(*snakemake, "masters", expected="Masters: 7 built")
    run(*snakemake, "masters", expected="Nothing to do: 7 masters are up to date")
    run(*snakemake, "why", expected="Every master is current.")
    run(*snakemake, "report", expected="report.html")
    # A path of the command line as the system writes it.
    (master,) = (DIRECTORY / "output" / "masters" / "bias").glob("*.xisf")
    master.unlink()
    target = str(master.relative_to(DIRECTORY))
    run(*snakemake, target, expected="Masters: 1 built")


if __name__ == "__main__":
    main()
