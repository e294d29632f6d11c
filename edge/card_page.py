"""A model's card as part of a page: the Markdown of ``MODEL_CARD.md`` enters, HTML of `edge.page` leaves.

Known is what cards are made of: headings, bullets, tables, paragraphs, bold words. What else stands there is shown as
its plain text; no picture is taken along, and no markup of the card's own passes.
"""

from collections.abc import Iterator

from edge import page


def card_html(markdown: str) -> Iterator[str]:
    """The card's pieces in order; its headings stand below the page's own."""
    lines = markdown.splitlines()
    while lines:
        line = lines.pop(0).strip()
        if line.startswith("#"):
            level = len(line) - len(line.lstrip("#"))
            yield page.heading(_plain(line[level:]), min(2 + level, 6))
        elif line.startswith("- "):
            yield page.bullets([_plain(line[2:]), *(_plain(one[2:]) for one in _taken(lines, "- "))])
        elif line.startswith("|"):
            rows = [_cells(one) for one in (line, *_taken(lines, "|"))]
            yield page.table("", rows[0], (row for row in rows[1:] if not _is_rule(row)))
        elif line.startswith("!["):
            yield page.paragraph(f"(A picture in the model's folder: {line[2:].partition(']')[0]}.)")
        elif line:
            yield page.paragraph(_plain(line))


def _taken(lines: list[str], start: str) -> list[str]:
    """The next lines that begin so, taken out of ``lines``."""
    taken = []
    while lines and lines[0].startswith(start):
        taken.append(lines.pop(0))
    return taken


def _cells(row: str) -> list[str]:
    return [_plain(cell) for cell in row.strip().strip("|").split("|")]


def _is_rule(row: list[str]) -> bool:
    return all(cell and not cell.strip("-:") for cell in row)


def _plain(text: str) -> str:
    return text.replace("**", "").strip()
