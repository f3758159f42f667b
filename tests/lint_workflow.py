"""Run ``snakemake --lint`` and fail on all it finds but what we leave on purpose."""

import re
import subprocess
import sys

WAIVED = {
    # One environment for everything (docs/decisions/0002-one-environment.md).
    "Specify a conda environment or container for each rule.",
    # The rules that only print (summary) go to the terminal.
    "No log directive defined",
}


def main() -> int:
    lint = [sys.executable, "-m", "snakemake", "--lint", "text"]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    found = set(re.findall(r"^ {4}\* (.+?):?$", text, re.MULTILINE))
    if not found and "Congratulations" not in text:
        print(text)
        return 1
    for title in sorted(found - WAIVED):
        print(f"snakemake --lint: {title}")
    return 1 if found - WAIVED else 0


if __name__ == "__main__":
    sys.exit(main())
