"""Numbers as a card prints them.

Shares and ratios are rounded down, and shares of a cost up, so that what is printed is never better than
what was measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from hubdistill.report import Interval

MINUS = "\N{MINUS SIGN}"


def score(value: float) -> str:
    """A score: `0.8134`; small ones keep two significant digits: `0.000031`."""
    text = f"{abs(value):.4f}"
    if 0 < abs(value) < 0.001:
        text = format(Decimal(f"{abs(value):.1e}"), "f")
    elif abs(value) >= 100:
        text = f"{abs(value):,.1f}"
    return text if value >= 0 or not text.strip("0.") else MINUS + text


def signed(value: float) -> str:
    """A difference, always with its sign: `+0.0041`."""
    text = score(value)
    return text if text.startswith(MINUS) or not text.strip("0.") else f"+{text}"


def span(interval: Interval) -> str:
    """A confidence interval of a score: `[0.7931, 0.8312]`."""
    return f"[{score(interval.low)}, {score(interval.high)}]"


def signed_span(interval: Interval) -> str:
    """A confidence interval of a difference: `[+0.0012, +0.0113]`."""
    return f"[{signed(interval.low)}, {signed(interval.high)}]"


def share(value: float) -> str:
    """A share of one, rounded down: `96.9%`."""
    percent = (Decimal(repr(value)) * 100).quantize(Decimal("0.1"), rounding=ROUND_FLOOR)
    return f"{percent}%".replace("-", MINUS)


def cost_share(value: float) -> str:
    """A cost as a share of another, rounded up: `35.3%`."""
    return f"{(Decimal(repr(value)) * 100).quantize(Decimal('0.1'), rounding=ROUND_CEILING)}%"


def share_span(interval: Interval) -> str:
    """A confidence interval of a share: `[96.1%, 97.6%]`."""
    return f"[{share(interval.low)}, {share(interval.high)}]"


def ratio(value: float) -> str:
    """How many times as much, rounded down: `2.1x`, `348x`."""
    digits = Decimal("0.1") if 1 <= value < 10 else Decimal("0.01") if value < 1 else Decimal(1)
    return f"{Decimal(repr(value)).quantize(digits, rounding=ROUND_DOWN):,}x"


def rate(value: float) -> str:
    """Items per second, ms or s, with three significant digits: `0.00754`, `7.54`, `52.3`, `1,230`."""
    if 0 < abs(value) < 1:
        return format(Decimal(f"{value:.2e}"), "f")
    if value < 100:
        return f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return f"{round(value, 3 - len(str(int(value)))):,.0f}"


def count(value: int) -> str:
    """A whole number: `250,002`."""
    return f"{value:,}"


def short_count(value: float) -> str:
    """Parameters: `22.7M`."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.0f}"


def size(value: int) -> str:
    """Bytes on disk, decimal units: `86.6 MB`."""
    for unit, base in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= 0.99995 * base:  # Or it would be 1000.0 of the unit below.
            return f"{value / base:.2f} {unit}" if value < 10 * base else f"{value / base:.1f} {unit}"
    return f"{value} bytes"


def memory(value: int) -> str:
    """Main memory, binary units: `16 GiB`."""
    return f"{value / 2**30:.0f} GiB"


def duration(seconds: float) -> str:
    """Time: `50 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def layer_list(layers: Sequence[int]) -> str:
    """Layers with runs folded: `0-3 and 20-23`."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return listed(
        part
        for run in runs
        for part in ([f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(layer) for layer in run])
    )


def listed(items: Iterable[object]) -> str:
    """Words with commas and a last `and`."""
    words = [str(item) for item in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
