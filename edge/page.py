"""The few pieces of HTML that a page needs: every text is escaped here, nothing is fetched, no script runs.

Plain text and SVG that is made here go in, HTML comes out. It fits a screen, and A4 where it is printed.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_STYLE: Final = """
@page { size: A4; margin: 14mm; }
:root { color-scheme: light; --ink: #1b1f24; --line: #c9d0d8; --warn: #8a3c00; --warn-paper: #fff1e0; }
body { margin: 0 auto; padding: 1.5rem; max-width: 52rem; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, "Segoe UI", "Noto Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.2rem; margin: 1.8rem 0 .5rem; padding-top: .4rem; border-top: 1px solid var(--line); }
.banner { margin: .7rem 0; padding: .6rem 1rem; border-left: .4rem solid var(--warn); background: var(--warn-paper);
  color: var(--warn); font-weight: 600; }
.answer { font-size: 1.15rem; font-weight: 600; margin: .6rem 0; }
.wide { overflow-x: auto; margin: .7rem 0 1.2rem; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0 0 .3rem; white-space: nowrap; }
th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--line); }
tbody th { font-weight: 600; }
figure { margin: .7rem 0 1.2rem; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { font-size: .88rem; }
summary { font-weight: 600; cursor: pointer; }
details { margin: .7rem 0; padding: .4rem 1rem; border: 1px solid var(--line); font-size: .92rem; }
details h3 { font-size: 1.1rem; margin: .8rem 0 .4rem; }
details h4 { font-size: 1rem; margin: .8rem 0 .4rem; }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; print-color-adjust: exact;
  -webkit-print-color-adjust: exact; } h2 { break-after: avoid; } .wide { overflow: visible; }
  figure, table, tr, .banner { break-inside: avoid; } h3, h4 { break-after: avoid; }
  details { border: 0; padding: 0; } details::details-content { content-visibility: visible; height: auto; } }
"""


def page(title: str, body: Iterable[str], style: str = _STYLE) -> str:
    """A whole document; ``body`` is HTML already."""
    lines = (
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{style}</style></head>",
        "<body>",
        f"<h1>{escape(title)}</h1>",
        *body,
        "</body>",
        "</html>",
        "",
    )
    return "\n".join(lines)


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str) -> str:
    """One paragraph."""
    return f"<p>{escape(text)}</p>"


def answer(text: str) -> str:
    """What the reader came for."""
    return f'<p class="answer">{escape(text)}</p>'


def banner(text: str) -> str:
    """What nobody may overlook."""
    return f'<p class="banner" role="note">{escape(text)}</p>'


def bullets(items: Iterable[str]) -> str:
    """A list; nothing at all where it is empty."""
    lines = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<ul>{lines}</ul>" if lines else ""


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names the row; ``caption`` may be empty."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>\n'
        for first, *rest in rows
    )
    return f'<div class="wide"><table>{above}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def folded(summary: str, body: Iterable[str]) -> str:
    """A part that a reader can fold away; it is printed in any case. ``body`` is HTML already."""
    return f"<details open><summary>{escape(summary)}</summary>\n" + "\n".join(body) + "\n</details>"


def drawing(svg: str, caption: str) -> str:
    """An SVG of this program in the page itself, with its caption."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
