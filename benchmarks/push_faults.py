"""Disturb pushes in every way that the local Hub knows, and look at the repository afterwards.

Each kind of fault at each request of a push to a new repository (with tag and collection), of a second push
(changed and removed files, with tag), to a new branch and with a pull request; pushes killed with SIGKILL at
random moments; two pushers racing on one repository. Prints what became of the cases, and every case after
which the repository was neither as before nor had exactly one complete new commit, or a token was in a log.

    python benchmarks/push_faults.py
    python benchmarks/push_faults.py --kinds "reset after" corrupt --kills 0 --races 0
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def main() -> None:
    # The processes that are killed import this file as well, and need nothing of it.
    from hub.campaign import KINDS, SCENARIOS, Campaign

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), metavar="KIND")
    parser.add_argument(
        "--scenarios", nargs="*", default=list(SCENARIOS), choices=list(SCENARIOS), metavar="SCENARIO"
    )
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--races", type=int, default=40, help="rounds, half of them for the same files")
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--refusals", action="store_true", help="print what the refused pushes said")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Campaign(Path(folder)).running() as campaign:
        requests = {name: campaign.count_requests(SCENARIOS[name]) for name in arguments.scenarios}
        for name in arguments.kinds:
            for scenario, number in requests.items():
                for index in range(number):
                    campaign.disturb(SCENARIOS[scenario], KINDS[name], index)
        rng = random.Random(arguments.seed)
        for number in range(arguments.kills):
            scenario = arguments.scenarios[number % len(arguments.scenarios)]
            campaign.kill(SCENARIOS[scenario], rng, requests[scenario])
        for number in range(arguments.races):
            campaign.race(number, same_files=bool(number % 2))
    print(", ".join(f"{name}: {number} requests" for name, number in requests.items()))
    print(f"{'kind':<25} {'cases':>6} {'at once':>8} {'after retry':>12} {'refused':>8} {'violations':>11}")
    for name, tally in campaign.tally.items():
        refused, violations = len(tally.refusals), len(tally.violations)
        print(
            f"{name:<25} {tally.cases:>6} {tally.at_once:>8} {tally.after_retry:>12} {refused:>8} "
            f"{violations:>11}"
        )
    cases = sum(tally.cases for tally in campaign.tally.values())
    seconds = time.perf_counter() - started
    print(f"{cases} cases in {seconds:.0f} s. After each refused one the next push landed.")
    broken = [violation for tally in campaign.tally.values() for violation in tally.violations]
    if arguments.refusals:
        print(*(refusal for tally in campaign.tally.values() for refusal in tally.refusals), sep="\n")
    if broken:
        print("Violations:", *broken, sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
