"""Run ``snakemake --lint``, and fail on all its findings except the waived ones."""

import re
import subprocess
import sys

#: Findings that are right for other workflows, each with the reason why not for this one.
WAIVED = {
    "Specify a conda environment or container for each rule.": "all rules use the one environment "
    "in which the package is installed (docs/decisions/0002-one-environment.md)",
    "No log directive defined": "rules that only print, such as summary, write to the terminal",
}


def main() -> int:
    lint = [sys.executable, "-m", "snakemake", "--lint", "text"]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    findings = set(re.findall(r"^ {4}\* (.+?):?$", text, re.MULTILINE))
    if not findings and "Congratulations" not in text:
        print(text)
        return 1
    for title in sorted(findings - WAIVED.keys()):
        print(f"snakemake --lint: {title}")
    return 1 if findings - WAIVED.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
