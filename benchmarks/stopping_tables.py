"""Print the tables of docs/stopping.md from the lines of stopping_study.py.

    python benchmarks/stopping_tables.py [FILE]

FILE is benchmarks/results/stopping.csv.gz unless given.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from arguments import existing_file

RESULTS = Path(__file__).parent / "results" / "stopping.csv.gz"
GOOD = 0.9  # a model of this accuracy or more is called good
DESIGNS = {
    "auto": "default",
    "random": "random, Wilson",
    "stratified": "stratified, difference estimator",
    "active": "active testing, LURE",
}
NEAR = 1e-4  # the file has five digits


def read(path: Path = RESULTS) -> pd.DataFrame:
    """Read the lines, with whether each interval holds the truth."""
    lines = pd.read_csv(path, keep_default_na=False, na_values=["nan"])
    lines["held"] = (lines["low"] - NEAR <= lines["truth"]) & (
        lines["truth"] <= lines["high"] + NEAR
    )
    lines["width"] = lines["high"] - lines["low"]
    return lines


def table(titles: list[str], rows: list[list[str]]) -> None:
    print("\n| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f} %"


def narrower(lines: pd.DataFrame) -> float:
    """Median of how many times wider a random audit's interval is expected to be."""
    return float((lines["extra"] / lines["width"].clip(lower=1e-3)).median())


def audits(lines: pd.DataFrame) -> None:
    found = lines[lines["question"] == "accuracy"]
    rows = []
    for design, name in DESIGNS.items():
        of = found[found["method"] == design]
        for budget, some in of.groupby("budget"):
            good = some[some["truth"] >= GOOD]
            stages = [percent(v) for v in some.groupby("labels")["held"].mean()]
            rows.append(
                [
                    name,
                    str(budget),
                    percent(some["held"].mean()),
                    " / ".join(v.removesuffix(" %") for v in stages),
                    percent(some.groupby("data")["held"].mean().min()),
                    f"{narrower(good):.2f}x",
                    f"{narrower(some):.2f}x",
                ]
            )
        rows.append(
            [
                name,
                "all",
                percent(of["held"].mean()),
                "",
                percent(of.groupby("data")["held"].mean().min()),
                f"{narrower(of[of['truth'] >= GOOD]):.2f}x",
                f"{narrower(of):.2f}x",
            ]
        )
    loops = found.groupby(["data", "seed"]).ngroups
    print(f"\n{loops} loops on {found['data'].nunique()} data sets")
    titles = ["audit", "labels", "holds the truth", "at 30 / 80 / 200 taught"]
    titles += ["worst data set", "narrower, good model", "narrower, any"]
    table(titles, rows)


def others(lines: pd.DataFrame) -> None:
    """Coverage of what is not a fresh audit of accuracy."""
    rows = []
    words = {
        "recall": "recall of a class",
        "carried": "audit of 40 carried from the first round",
        "worst": "error in the worst tenth, by",
        "forecast": "forecast of labels, audit of",
        "worth": "worth of the labels",
    }
    for question, name in words.items():
        of = lines[lines["question"] == question]
        # Beyond the end of the loop, all that is known is that it takes longer.
        if question == "forecast":
            late = of["truth"].isna()
            of = of.assign(held=np.where(late, of["high"] >= 200, of["held"]))
        by = {"recall": "budget", "worst": "method", "forecast": "budget"}
        key = by.get(question, "labels")
        for value, some in of.groupby(key):
            if question == "worth":
                some = some[some["truth"].notna()]
            rows.append(
                [f"{name} ({value})", str(len(some)), percent(some["held"].mean())]
            )
    table(["interval", "cases", "holds the truth"], rows)


def forecasts(lines: pd.DataFrame) -> None:
    of = lines[lines["question"] == "forecast"]
    known = of[of["truth"].notna()]
    early = (known["low"] / known["truth"]).median()
    print(
        f"\nForecasts: {percent(_held(of))} of {len(of)} hold the truth; of the "
        f"{len(known)} whose target the loop reached {percent(known['held'].mean())}. "
        f"The lower end is at the median {early:.2f} of the truth; no upper end "
        f"in {percent(np.isinf(of['high']).mean())}."
    )


def _held(of: pd.DataFrame) -> float:
    return float(np.where(of["truth"].isna(), of["high"] >= 200, of["held"]).mean())


def worth(lines: pd.DataFrame) -> None:
    rows = []
    for labels, some in lines[lines["question"] == "worth"].groupby("labels"):
        tells = some[some["value"].notna()]
        known = tells[tells["truth"].notna()]
        side = (known["low"] > labels) | (known["high"] < labels)
        right = (known["low"] > labels) & (known["truth"] > labels) | (
            known["high"] < labels
        ) & (known["truth"] < labels)
        rows.append(
            [
                str(labels),
                f"{some['budget'].median():.0f}",
                percent(1 - len(tells) / len(some)),
                percent(some[some["truth"].notna()]["held"].mean()),
                percent(known["held"].mean()),
                f"{right.sum()} of {side.sum()}",
            ]
        )
    titles = ["labels", "random ones", '"cannot tell yet"', "interval holds the truth"]
    titles += ["where it tells", "right about more or fewer"]
    table(titles, rows)


def stops(lines: pd.DataFrame) -> None:
    rows = []
    of = lines[lines["question"] == "stop"]
    keys = ["method", "budget", "extra"]
    for (rule, budget, target), some in of.groupby(keys, dropna=False):
        at = some[some["labels"] > 0]
        name = rule if np.isnan(target) else f"{rule}, {target:.0%}, audit of {budget}"
        below = np.nan if np.isnan(target) else (at["truth"] < target - 0.03).sum()
        rows.append(
            [
                name,
                percent(len(at) / len(some)),
                f"{at['labels'].median():.0f}" if len(at) else "-",
                f"{percent(at['truth'].mean())} ({percent(at['value'].mean())})",
                f"{percent(at['low'].mean())} ({percent(at['high'].mean())})",
                percent((at["low"] < 0.5).mean()) if len(at) else "-",
                "-" if np.isnan(below) else f"{below:.0f} of {len(some)}",
            ]
        )
    titles = ["rule", "stops", "labels", "accuracy there (at the end)"]
    titles += ["worst group there (at the end)", "worst group below 50 %"]
    titles += ["more than 3 points below its promise"]
    table(titles, rows)


def slips(lines: pd.DataFrame) -> None:
    rows = []
    for labels, some in lines[lines["question"] == "slips"].groupby("labels"):
        shares = some["value"].mean(), some["extra"].mean()
        rows.append([str(labels), str(len(some)), *map(percent, shares)])
    titles = ["labels, 5 % wrong", "loops", "of as many first suggestions", "by chance"]
    table(titles, rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=existing_file, nargs="?", default=RESULTS)
    lines = read(parser.parse_args(arguments).file)
    for part in (audits, others, forecasts, worth, stops, slips):
        part(lines)


if __name__ == "__main__":
    main()
