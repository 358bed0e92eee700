"""The curve of a calibration as a picture; needs matplotlib."""

from __future__ import annotations

from pathlib import Path

from lightmine.calibration.threshold import Curve, Threshold
from lightmine.errors import ArgumentError, MissingExtraError
from lightmine.io.output import open_binary

FORMATS = ("png", "svg")


def check_plot(path: str | None) -> None:
    """Refuse, before any work, a picture that could not be made.

    Raises
    ------
    ArgumentError, MissingExtraError
    """
    if path is None:
        return
    if Path(path).suffix.removeprefix(".") not in FORMATS:
        raise ArgumentError(f"{path}: name it .png or .svg")
    try:
        import matplotlib  # noqa: F401 (only whether it is there)
    except ImportError:
        raise MissingExtraError.of("plot", "a picture needs matplotlib") from None


def plot_curve(path: str, curve: Curve, chosen: Threshold, *, title: str) -> None:
    """Write precision, recall and F1 over the threshold, and the threshold that was chosen."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "lightmine"}):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for name in ("precision", "recall", "f1"):
            axes.plot(curve.threshold, getattr(curve, name), label="F1" if name == "f1" else name)
        axes.axvline(chosen.threshold, color="0.3", linestyle="--", label=f"threshold {chosen.threshold:.4f}")
        axes.set_xlabel("threshold")
        axes.set_ylabel("estimated, without gold" if curve.estimated else "on the gold")
        axes.set_ylim(0, 1.02)
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend()
        with open_binary(path) as stream:
            kind = Path(path).suffix.removeprefix(".")
            # No date, so that the same curve gives the same bytes.
            figure.savefig(stream, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
