"""What a run's report has beside `edge.page`: its style, text as it stands, and pictures that may be anybody's SVG.

Plain text and SVG go in, HTML comes out; every text is escaped, nothing is fetched, no script runs.
"""

import base64
from html import escape
from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #f3f5f7; --line: #c9d0d8; --warn: #8a3c00;
  --warn-paper: #fff1e0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaee; --paper: #15181c; --soft: #21262c; --line: #47505a;
  --warn: #ffc58f; --warn-paper: #3a2410; } }
body { margin: 0 auto; padding: 1.5rem; max-width: 62rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, "Segoe UI", "Noto Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .5rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
.banner { margin: .8rem 0; padding: .7rem 1rem; border-left: .4rem solid var(--warn); background: var(--warn-paper);
  color: var(--warn); font-weight: 600; }
.wide { overflow-x: auto; margin: .8rem 0 1.4rem; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0 0 .3rem; }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--line); white-space: nowrap; }
tbody th { font-weight: 600; white-space: nowrap; }
figure { margin: .8rem 0 1.4rem; }
figure img { max-width: 100%; height: auto; background: #ffffff; border-radius: .3rem; padding: .4rem;
  box-sizing: border-box; }
figcaption { font-size: .88rem; }
pre { overflow-x: auto; padding: .8rem; background: var(--soft); font-size: .82rem; line-height: 1.4; }
@media print { :root { --ink: #000; --paper: #fff; --soft: #fff; --line: #999; --warn: #000; --warn-paper: #fff; }
  body { max-width: none; padding: 0; font-size: 11px; } h2 { break-after: avoid; } .wide, pre { overflow: visible; }
  figure, tr { break-inside: avoid; } pre { white-space: pre-wrap; } }
"""


def literal(text: str) -> str:
    """Text as it stands: a configuration, commands."""
    return f"<pre>{escape(text)}</pre>"


def picture(svg: str, caption: str) -> str:
    """A picture that the page holds itself, with its caption, which is also read to those who can't see it."""
    data = base64.b64encode(svg.encode()).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/svg+xml;base64,{data}"><figcaption>{text}</figcaption></figure>'
