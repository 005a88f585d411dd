"""Matplotlib figures as small SVG for a page: themed, without metadata, clashing ids or fixed fonts.

Figures are drawn with placeholder colours. In a page they become CSS variables, so that one drawing serves
light and dark mode; in a file of its own they become the colours of one theme.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

from overton.errors import MissingDependencyError

Theme = Literal["page", "light", "dark"]
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

# Okabe and Ito's hues, darkened for a light page and lightened for a dark one (contrast at least 4.5 : 1).
PALETTE: dict[str, dict[str, str]] = {
    "ink": {"light": "#1d232b", "dark": "#e7eaee"},
    "muted": {"light": "#59636e", "dark": "#a0aab5"},
    "grid": {"light": "#e3e1dc", "dark": "#333a43"},
    "c0": {"light": "#a85400", "dark": "#f2a551"},
    "c1": {"light": "#0064b0", "dark": "#62b6f5"},
    "c2": {"light": "#00785a", "dark": "#3fcfa6"},
    "c3": {"light": "#9c3d86", "dark": "#e394cb"},
    "c4": {"light": "#6e5f00", "dark": "#d9c74a"},
    "c5": {"light": "#59636e", "dark": "#a0aab5"},
}
COLOURS = {name: f"#0a0b{index:02x}" for index, name in enumerate(PALETTE, 1)}
MARKERS = ("o", "D", "s", "^", "v", "P")

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.edgecolor": COLOURS["grid"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.titlecolor": COLOURS["ink"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.7,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "text.color": COLOURS["ink"],
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}

_TAG = re.compile(r"<[^>]*>")
_LONG_NUMBER = re.compile(r"(-?\d+\.\d\d)\d+")
_FAMILY = re.compile(r"\s*font-family:[^;\"]*;?")
# Those that turn the direction of writing would turn the figures beside a name too.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def need_matplotlib() -> None:
    """Nothing, or a ``MissingDependencyError``; also for a command that draws only after long work."""
    try:
        import matplotlib as _  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("the report needs matplotlib: pip install 'overton[train]'") from error


def draw(name: str, size: tuple[float, float], alt: str, paint: Callable[[Any], None], theme: Theme = "page") -> str:
    """Draw one figure.

    Args:
        name: salt of the ids, so that two figures of one page do not share any.
        size: width and height in points.
        alt: what a reader who cannot see the figure should know.
        paint: draws on the ``Axes`` it is given, with the placeholder colours of :data:`COLOURS`.
        theme: ``page`` writes CSS variables (``var(--ink)``), ``light`` and ``dark`` fixed colours.

    Returns:
        An ``<svg>`` element. The same input gives the same text, byte for byte.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    need_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        # A Figure without pyplot needs no screen and leaves no global state behind.
        figure = Figure(figsize=(size[0] / 72, size[1] / 72), layout="constrained")
        paint(figure.add_subplot())
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    return _clean(buffer.getvalue(), size, alt, theme)


def printable(text: str) -> str:
    """Text on one line, without characters that XML and HTML cannot hold or that turn the direction of writing."""
    return _CONTROL.sub("\ufffd", " ".join(text.split()))


def css_variables(theme: Literal["light", "dark"]) -> str:
    """The palette as CSS declarations."""
    return " ".join(f"--{name}: {colours[theme]};" for name, colours in PALETTE.items())


def _clean(svg: str, size: tuple[float, float], alt: str, theme: Theme) -> str:
    body = svg[svg.index("<svg") :]
    body = body[body.index(">") + 1 : body.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    # Matplotlib styles `*`, which in a page would reach every element; the root's attributes do it here.
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = _TAG.sub(_clean_tag, body)
    body = re.sub(r">\s+<", "><", body).strip()
    for name, placeholder in COLOURS.items():
        colour = f"var(--{name})" if theme == "page" else PALETTE[name][theme]
        body = body.replace(placeholder, colour)
    width, height = f"{size[0]:g}", f"{size[1]:g}"
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'stroke-linejoin="round" font-family="{FONTS}" aria-label={quoteattr(printable(alt))}>'
    )
    title = f"<title>{escape(printable(alt))}</title>" if theme != "page" else ""
    return f"{root}{title}{body}</svg>"


def _clean_tag(match: re.Match[str]) -> str:
    tag = " ".join(match.group().split())
    if tag.startswith("<g "):
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", tag)
    tag = _FAMILY.sub("", tag)
    return _LONG_NUMBER.sub(r"\1", tag).replace(' z "', ' z"')
