"""Fuzz every reader for a while: ``python -m fuzz.run --seconds 60 [TARGET...]``.

Each target starts from fuzz/corpus/TARGET and from what earlier runs found in build/fuzz/TARGET. A case that
crashes, hangs or takes over 1 GiB goes to tests/fuzzed/TARGET, where the tests run it from then on.
"""

import argparse
import re
import resource
import subprocess
import sys
from pathlib import Path

from fuzz.targets import NAMES

ROOT = Path(__file__).parents[1]


def fuzz(name, seconds):
    """Fuzz one target: executions, seconds of CPU, code covered, cases found, and what was printed."""
    found = ROOT / "build" / "fuzz" / name
    cases = ROOT / "tests" / "fuzzed" / name
    for folder in (found, cases):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(cases.iterdir())
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.one", name, str(found), str(ROOT / "fuzz" / "corpus" / name),
         f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=1024", "-max_len=4096",
         f"-artifact_prefix={cases}/", "-print_final_stats=1", "-verbosity=1",
         f"-dict={ROOT / 'fuzz' / 'words.dict'}"],
        cwd=ROOT, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    executions = re.search(r"number_of_executed_units: *(\d+)", done.stderr)
    covered = re.findall(r"cov: (\d+)", done.stderr)
    cpu = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
    new = sorted(set(cases.iterdir()) - before)
    if not any(cases.iterdir()):
        cases.rmdir()
    return {
        "executions": int(executions[1]) if executions else 0,
        "cpu": cpu,
        "covered": int(covered[-1]) if covered else 0,
        "found": new,
        "failed": done.returncode != 0,
        "said": done.stdout or done.stderr,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", choices=[*NAMES, []], metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    arguments = parser.parse_args()
    print(f"{'target':12} {'executions':>12} {'CPU s':>8} {'covered':>8}  found", flush=True)
    failed = False
    for name in arguments.targets or NAMES:
        result = fuzz(name, arguments.seconds)
        found = ", ".join(path.name for path in result["found"]) or "-"
        print(
            f"{name:12} {result['executions']:12,} {result['cpu']:8.0f} {result['covered']:8,}  {found}",
            flush=True,
        )
        if result["failed"]:
            failed = True
            lines = result["said"].splitlines()
            start = next((at for at, line in enumerate(lines) if "Uncaught Python exception" in line), -20)
            print("\n".join("    " + line for line in lines[start:][:40]), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
