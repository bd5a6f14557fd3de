"""Every benchmark, one after the other, each in a process of its own. `python -m bench [--quick] [NAME …]`"""

from __future__ import annotations

import argparse
import subprocess
import sys

ALL = ("local_overhead", "parsers", "hostile", "refill", "kill_latency", "control_plane", "digits_search")


def main() -> int:
    """Run them; the exit code is the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(ALL)} (all)")
    parser.add_argument("--quick", action="store_true", help="small runs that write no results")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(ALL))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(ALL)}")
    failed = 0
    for name in given.names or ALL:
        print(f"==> bench.{name}", flush=True)
        command = [sys.executable, "-m", f"bench.{name}", *(["--quick"] if given.quick else [])]
        failed += subprocess.run(command, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
