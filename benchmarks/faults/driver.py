"""The command line, with the changes that the variable DRIVER names: ``DRIVER='window=4096 slow=0.03'``.

window=N      sentences of a window, and so of a block on disk
checkpoint=S  seconds between checkpoints of mining
clock=SEED    every reading of a clock is a random time within a century
slow=SECONDS  a delay of each fsync
"""

from __future__ import annotations

import os
import random
import time


def prepare() -> None:
    settings = dict(pair.split("=") for pair in os.environ.get("DRIVER", "").split())
    from lightmine.encoder import encoder

    encoder.WINDOW = int(settings.get("window", encoder.WINDOW))
    if "clock" in settings:
        jumps = random.Random(int(settings["clock"]))
        for name in ("time", "monotonic", "perf_counter"):
            setattr(time, name, lambda: jumps.uniform(-3e8, 3e9))
    if "slow" in settings:
        fsync, delay = os.fsync, float(settings["slow"])
        os.fsync = lambda number: (time.sleep(delay), fsync(number))[1]
    if "checkpoint" in settings:
        # After the change of the clock, which this module reads when it is imported.
        from lightmine.engine import checkpoint

        checkpoint.INTERVAL = checkpoint.PATIENCE = float(settings["checkpoint"])


if __name__ == "__main__":
    prepare()
    from lightmine.__main__ import main

    main()
