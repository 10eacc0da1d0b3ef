"""The style sheet of the report: light and dark, phone and desktop.

The colours of the curves are Okabe and Ito's, told apart by the colour-blind; random
sampling is grey, and the lines for scale are dashed.
"""

STYLE = (
    """
:root { --paper: #ffffff; --ink: #1c1917; --soft: #57534e; --line: #e7e5e4;
  --card: #fafaf9; --c0: #0072b2; --c1: #d55e00; --c2: #007a59; --c3: #a8497f;
  --c4: #9a6700; --c5: #5b4bb5; --random: #78716c; --scale: #1c1917;
  --atypical: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --paper: #171615; --ink: #f5f5f4;
  --soft: #b5afa9; --line: #3a3633; --card: #211f1d; --c0: #5cb8ea; --c1: #f28a3c;
  --c2: #35c79b; --c3: #e49ac4; --c4: #e6b325; --c5: #a99ff0; --random: #a8a29e;
  --scale: #f5f5f4; --atypical: #f28a3c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans",
  sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.4em 0; }
h2 { font-size: 1.35rem; margin: 2.2em 0 0.4em; padding-top: 0.8em;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.08rem; margin: 1.8em 0 0.3em; }
h4 { font-size: 0.95rem; margin: 0.9em 0 0.2em; font-weight: 600; }
p, li { max-width: 46em; }
.note { color: var(--soft); font-size: 0.9rem; }
.lead { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 6px 20px; margin: 1em 0; max-width: 52em; }
.charts { display: grid; gap: 4px 28px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); }
.charts.small { grid-template-columns:
  repeat(auto-fit, minmax(min(100%, 245px), 1fr)); }
figure { margin: 0; } figcaption { font-size: 0.95rem; font-weight: 600; }
.chart { display: block; width: 100%; max-width: 560px; height: auto; }
.chart text { font-size: 12px; fill: var(--soft); }
.chart .axis { fill: var(--soft); } .chart .grid { stroke: var(--line); }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
.band { opacity: 0.16; stroke: none; }
.chart text.name { font-weight: 600; }
"""
    + "\n".join(
        f".line.s-{name} {{ stroke: var(--{colour}); }} "
        f".band.s-{name}, .chart text.name.s-{name} {{ fill: var(--{colour}); }} "
        f".key.s-{name} {{ background: var(--{colour}); }}"
        for name, colour in [
            *((str(i), f"c{i}") for i in range(6)),
            ("random", "random"),
            ("group-balanced", "scale"),
            ("full", "scale"),
            ("pool", "soft"),
        ]
    )
    + """
.line.s-group-balanced { stroke-dasharray: 5 3; stroke-width: 1.6; }
.line.s-full, .line.s-pool { stroke-dasharray: 1.5 3.5; stroke-width: 1.6; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; margin: 0.6em 0;
  font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px 5px 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; white-space: normal;
  min-width: 4.6em; }
th.text, td.text { text-align: left; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 3px;
  margin-right: 6px; }
.bar { display: inline-block; height: 9px; border-radius: 2px; background: var(--c0);
  vertical-align: middle; margin-right: 6px; }
.sheet { display: flex; flex-wrap: wrap; gap: 6px; margin: 6px 0 12px; }
.sheet figure { width: 72px; }
.sheet img { display: block; width: 72px; height: 72px; object-fit: cover;
  border-radius: 5px; border: 3px solid var(--line); }
.sheet .atypical img { border-color: var(--atypical); }
.sheet figcaption { font-size: 0.66rem; font-weight: 400; line-height: 1.25;
  color: var(--soft); overflow-wrap: break-word; }
.sheet .atypical figcaption { color: var(--atypical); font-weight: 600; }
.texts { padding-left: 1.2em; font-size: 0.9rem; }
.texts .atypical { color: var(--atypical); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 14px; overflow-x: auto; font-size: 0.82rem; line-height: 1.45; }
summary { cursor: pointer; font-weight: 600; }
"""
)
