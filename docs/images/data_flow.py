"""Draw data-flow.svg: `python docs/images/data_flow.py`.

Text stands in filled boxes, and what stands outside is mid-grey, so that the picture
reads on white and on black.
"""

from pathlib import Path

STEPS = [
    ("X", "arrays, paths, PIL", "#e8e8e8"),
    ("batches", "images", "#cfe3f7"),
    ("embeddings", "backbones", "#cfe3f7"),
    ("probabilities", "head", "#d5efd9"),
    ("rows to label", "query", "#fde3c0"),
]
WIDTH, HEIGHT, GAP, TOP = 130, 62, 40, 96
GREY = "#7d8590"


def box(x, y, fill, title, note, width=WIDTH):
    middle = x + width / 2
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{HEIGHT}" rx="8" '
        f'fill="{fill}" stroke="{GREY}"/>'
        f'<text x="{middle}" y="{y + 27}" font-size="16" font-weight="600">{title}'
        "</text>"
        f'<text x="{middle}" y="{y + 47}" font-size="12.5" fill="#444">{note}</text>'
    )


def arrow(path):
    return f'<path d="{path}" fill="none" stroke="{GREY}" marker-end="url(#tip)"/>'


def main():
    step = WIDTH + GAP
    middle = TOP + HEIGHT / 2
    parts = []
    for i, (title, note, fill) in enumerate(STEPS):
        parts.append(box(i * step + 1, TOP, fill, title, note))
        if i:
            parts.append(arrow(f"M{i * step - GAP + 3} {middle}H{i * step - 7}"))
    x = 2 * step + 1
    parts.append(box(x, 1, "#e6dcf5", "cache", "by content"))
    up, down = x + 45, x + 85
    parts.append(arrow(f"M{up} {TOP - 2}V{HEIGHT + 11}"))
    parts.append(arrow(f"M{down} {HEIGHT + 3}V{TOP - 8}"))
    # Back from the rows to the head: somebody answers, and the head is fitted again.
    last, head = 4 * step + WIDTH / 2, 3 * step + WIDTH / 2
    low = TOP + HEIGHT + 38
    parts.append(arrow(f"M{last} {TOP + HEIGHT + 2}V{low}H{head}V{TOP + HEIGHT + 9}"))
    parts.append(
        f'<text x="{(last + head) / 2}" y="{low + 20}" font-size="13" fill="{GREY}">'
        "you answer, teach fits</text>"
    )
    # The same embeddings serve strategies that look at more than probabilities.
    source = 2 * step + WIDTH / 2
    lower = low + 40
    parts.append(
        arrow(f"M{source} {TOP + HEIGHT + 2}V{lower}H{last + 40}V{TOP + HEIGHT + 9}")
    )
    total, height = 4 * step + WIDTH + 2, lower + 8
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height:.0f}" '
        'font-family="system-ui, sans-serif" text-anchor="middle" stroke-width="1.5">'
        f'<defs><marker id="tip" viewBox="0 0 10 10" refX="2" refY="5" markerWidth="6" '
        f'markerHeight="6" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" '
        f'fill="{GREY}" stroke="none"/></marker></defs>{"".join(parts)}</svg>\n'
    )
    svg = svg.replace("<text ", '<text stroke="none" ')
    Path(__file__).with_name("data-flow.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
