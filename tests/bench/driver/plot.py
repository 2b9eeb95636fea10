"""A plot as SVG, drawn by hand: for each scenario a bar for each target, in that scenario's own scale."""
from xml.sax.saxutils import escape

import peers

FLOOR, PILLION, PEER = "#9aa0a6", "#c2410c", "#4b6a88"
ROW, LEFT, BARS, RIGHT, TOP = 18, 240, 430, 90, 64


def _text(x, y, text, size=12, anchor="start", weight="normal", fill="#222"):
    return (f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}">'
            f"{escape(text)}</text>")


def draw(blocks, subtitle):
    """`blocks`: (title, unit, [(target, label, value)]). Values are drawn from 0, so lengths compare."""
    parts, y = [], TOP
    for title, unit, bars in blocks:
        parts.append(_text(16, y, f"{title} ({unit})", 13, weight="bold"))
        y += 8
        longest = max(value for _, _, value in bars) or 1
        for target, label, value in bars:
            width = max(1.0, BARS * value / longest)
            colour = PEER if target in peers.ALL else FLOOR if target.startswith("floor") else PILLION
            weight = "bold" if target == "pillion" else "normal"
            parts.append(_text(LEFT - 8, y + 13, label, anchor="end", weight=weight))
            parts.append(f'<rect x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="{ROW - 5}" fill="{colour}"/>')
            parts.append(_text(LEFT + width + 6, y + 13, f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"))
            y += ROW
        y += 26
    width = LEFT + BARS + RIGHT
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" '
        'font-family="system-ui, sans-serif" role="img">',
        f'<rect width="{width}" height="{y}" fill="#fff"/>',
        _text(16, 24, "Pillion beside its peers: shorter is better", 16, weight="bold"),
        _text(16, 42, subtitle, 11, fill="#666"), *parts, "</svg>\n"])
