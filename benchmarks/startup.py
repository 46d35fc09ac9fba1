"""How long a user waits for the help and for the answer to a typo: whole processes, warm, medians of 7, seconds."""

import statistics
import subprocess
import sys
import time


def seconds(*arguments: str) -> float:
    """The median wall time of a fresh process over 7 runs, after one that warms the cache."""
    command = [sys.executable, "-m", "duogen", *arguments]
    times = []
    for _ in range(8):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=False)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    print(f"startup/help: {seconds('--help'):.3f}")
    typos = [seconds("train", "adversarial=hing"), seconds("train", "optimizer.lrr=1")]
    print(f"startup/typo: {max(typos):.3f}")


if __name__ == "__main__":
    main()
