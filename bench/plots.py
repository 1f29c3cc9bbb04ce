"""Pictures of what the load generator met. matplotlib comes with the extra `bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.first_sound_load import Level, Offered

# Okabe and Ito's colours, which most people can tell apart.
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#666666"
_STYLE: Any = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "voxswap",  # the same figures give the same file
}


def load(offered: Sequence[Offered], bound_ms: float, path: Path) -> None:
    """Time to first audio, and what did not come or came late, against the load offered."""
    rates = [one.lines_per_s for one in offered]

    def draw(above: Any, below: Any) -> None:
        for share, colour in (("p50", _BLUE), ("p95", _ORANGE), ("p99", _RED)):
            ttfa_ms = [one.ttfa_ms["all"][share] for one in offered]
            above.plot(rates, ttfa_ms, "o-", color=colour, label=share)
        _milliseconds(above, bound_ms, "A game's lines")
        dialogues = [one.dialogues or 1 for one in offered]
        refused = [100 * one.refused / (one.lines or 1) for one in offered]
        gaps = [100 * one.underrun_lines / n for one, n in zip(offered, dialogues, strict=True)]
        below.plot(rates, refused, "s-", color=_GREY, label="lines refused")
        below.plot(rates, gaps, "o-", color=_RED, label="dialogues with an underrun")
        below.set_ylim(bottom=0, top=max(5, 1.1 * max([*refused, *gaps])))
        below.set_ylabel("per cent")
        offers = [f"{one.lines_per_s:g}\n{one.audio_s_per_s:.0f}" for one in offered]
        below.set_xticks(rates, offers)
        below.set_xlabel("load offered: lines a second, and below seconds of audio a second")
        below.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2)

    _picture(draw, path)


def capacity(ours: Sequence[Level], piper: Sequence[Level], bound_ms: float, path: Path) -> None:
    """Time to first audio and underruns against the number of paced readers."""

    def draw(above: Any, below: Any) -> None:
        readers = [level.readers for level in ours]
        above.plot(readers, [level.p50_ms for level in ours], "o-", color=_BLUE, label="p50")
        above.plot(readers, [level.p95_ms for level in ours], "o-", color=_ORANGE, label="p95")
        their_readers, their_p95_ms = [p.readers for p in piper], [p.p95_ms for p in piper]
        above.plot(their_readers, their_p95_ms, "s-", color=_GREY, label="piper HTTP, p95")
        _milliseconds(above, bound_ms, "Paced readers")
        share = [100 * level.underruns / (level.lines or 1) for level in ours]
        colours = [_GREEN if level.holds else _RED for level in ours]
        below.bar(readers, share, width=readers[-1] / 30, color=colours)
        for level, height in zip(ours, share, strict=True):
            text = f"{level.underruns}"
            place = (level.readers, height)
            below.annotate(text, place, (0, 3), textcoords="offset points", ha="center")
        below.set_ylim(bottom=0, top=max(5, 1.25 * max(share)))
        below.set_ylabel("underruns in\n100 lines")
        below.set_xlabel("paced readers (a reader of piper's hears nothing until all is there)")

    _picture(draw, path)


def _milliseconds(axes: Any, bound_ms: float, title: str) -> None:
    """Logarithmic, with the bound in it and the legend beside the title."""
    from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.set_ylabel("time to first audio, ms")
    axes.set_title(title, loc="left", fontweight="bold")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=3)
    axes.axhline(bound_ms, color=_GREY, linestyle=":", linewidth=1.2)
    axes.annotate(
        f"{bound_ms:.0f} ms",
        (1, bound_ms),
        (-4, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color=_GREY,
        fontsize=9,
    )


def _picture(draw: Any, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(
            *(2, 1),
            figsize=(8, 6.2),
            sharex=True,
            height_ratios=(2, 1),
            layout="constrained",
        )
        draw(*axes)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)
    print(f"  picture: {path}")
