"""Run ``snakemake --lint``, and fail on all its findings except the waived ones."""

import re
import subprocess
import sys

WAIVED = {
    # One environment for everything (docs/decisions/0002-one-environment.md).
    "Specify a conda environment or container for each rule.",
    # Rules that only print (summary) write to the terminal.
    "No log directive defined",
}


def main() -> int:
    lint = [sys.executable, "-m", "snakemake", "--lint", "text"]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    findings = set(re.findall(r"^ {4}\* (.+?):?$", text, re.MULTILINE))
    if not findings and "Congratulations" not in text:
        print(text)
        return 1
    for title in sorted(findings - WAIVED):
        print(f"snakemake --lint: {title}")
    return 1 if findings - WAIVED else 0


if __name__ == "__main__":
    sys.exit(main())
