"""The command line, after doing what the variable DRIVER says: ``DRIVER='window=4096 slow=0.03'``.

window=N      sentences of a window, and so of a block on disk
checkpoint=S  seconds from one checkpoint of mining to the next
clock=SEED    every look at any clock is a random time within a century
slow=SECONDS  what each fsync takes longer
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
        from lightmine.engine.tuning import DEFAULT_TUNING

        for name in ("checkpoint_interval", "checkpoint_patience"):
            object.__setattr__(DEFAULT_TUNING, name, float(settings["checkpoint"]))


if __name__ == "__main__":
    prepare()
    from lightmine.__main__ import main

    main()
