"""Every engine that this machine can run: NumPy, and each variant of the compiled kernel."""

import dataclasses

import pytest

from lightmine.engine import native
from lightmine.engine.job import Job
from lightmine.engine.tuning import Tuning

# Small inputs take the paths of large ones: compressed rows, estimates, many tiles, and a survivor buffer
# that is full after every call.
SMALL = Tuning(
    small_pairs=1, small_side=1, native_tile=(32, 64), numpy_tile=(32, 64), survivors_at_once=50,
    estimate_rows=40, found_capacity=0, compressed_at_once=64, rotation_pairs=0.0,
)  # fmt: skip
# A sample of few rows chooses the leading components, for every variant and however small the gain.
COMPONENTS = dataclasses.replace(
    SMALL, component_shares=(0.25,), component_sample=(16, 64),
    product_seconds=tuple((name, 1e-9) for name in native.VARIANTS),
)  # fmt: skip

KERNEL, REASON = native.find_kernel()


def kernel(name):
    """A variant of the library."""
    assert KERNEL is not None
    return native.Kernel(KERNEL.library, name)


def _param(name):
    if KERNEL is None:
        mark = pytest.mark.skip(reason=REASON)
    elif not KERNEL.library.lightmine_can(native.VARIANTS.index(name)):
        mark = pytest.mark.skip(reason=f"this processor, or this library, has no {name}")
    else:
        return pytest.param(name)
    return pytest.param(name, marks=mark)


VARIANTS = [_param(name) for name in native.VARIANTS]
ENGINES = [pytest.param("numpy"), *VARIANTS]
needs_kernel = pytest.mark.skipif(KERNEL is None, reason=REASON)


def runnable():
    """The names of `ENGINES` that are not skipped."""
    return [param.values[0] for param in ENGINES if not param.marks]


def job(engine, tuning=SMALL, **options):
    """A job that this engine does."""
    if engine == "numpy":
        return Job(kernel="numpy", tuning=tuning, **options)
    return Job(kernel="native", tuning=dataclasses.replace(tuning, variant=engine), **options)
