"""How long a person at the labelling page waits, while the pool is being embedded.

    python benchmarks/label_latency.py --pictures 5000

It writes a folder of photograph-sized JPEGs, starts ``modal-pretrain label`` on it, and
answers by keyboard in the system's Chromium. Printed are the seconds from the start of
the command to the first picture on the screen, and the milliseconds from a key to the
next picture being painted and to the answer being on the disk.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from arguments import count
from PIL import Image, ImageFilter
from playwright.sync_api import sync_playwright

# From a key to the next picture, decoded and painted; and to the answer's reply.
ANSWER = """async (key) => {
  const image = () => document.querySelector("#shown img");
  const before = image().src;
  const start = performance.now();
  document.body.dispatchEvent(
    new KeyboardEvent("keydown", { key, code: `Digit${key}`, bubbles: true }));
  while (!image() || image().src === before) await new Promise(requestAnimationFrame);
  await image().decode();
  await new Promise(requestAnimationFrame);
  const painted = performance.now() - start;
  while (document.body.ariaBusy === "true") await new Promise((r) => setTimeout(r, 2));
  return [painted, performance.now() - start];
}"""


def write_pictures(folder: Path, n: int, side: int) -> None:
    """Write n JPEGs of side x 3/4 side pixels: blurred noise, as photographs weigh."""
    rng = np.random.default_rng(0)
    for number in range(n):
        if number % 100 == 0:
            small = rng.integers(0, 256, (side * 3 // 32, side // 8, 3), dtype=np.uint8)
            picture = Image.fromarray(small).resize((side, side * 3 // 4))
            picture = picture.filter(ImageFilter.GaussianBlur(2))
        turned = picture if number % 2 else picture.transpose(0)
        turned.save(folder / f"{number:06}.jpg", quality=85)


def busy(pid: int) -> float:
    """Seconds of processor time that a process has taken so far, on Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=count, default=5000)
    parser.add_argument("--side", type=count, default=640, help="pixels")
    parser.add_argument("--answers", type=count, default=60)
    parser.add_argument("--image-size", type=count, default=None)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds to think")
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place, "pictures")
        folder.mkdir()
        write_pictures(folder, args.pictures, args.side)
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        page = browser.new_page()
        command = [sys.executable, "-m", "modal_pretrain", "label", str(folder)]
        command += ["--classes", "a", "b", "--no-browser"]
        if args.image_size is not None:
            command += ["--image-size", str(args.image_size)]
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                address = next(
                    found[0]
                    for line in process.stdout
                    if (found := re.search(r"http://\S+", line))
                )
                page.goto(address)
                page.locator("#shown img").wait_for()
                page.evaluate("document.querySelector('#shown img').decode()")
                first = time.perf_counter() - start
                print(
                    f"first picture on the screen after {first:.1f} s "
                    f"({busy(process.pid):.1f} s of processor time)"
                )
                times = []
                for k in range(args.answers):
                    time.sleep(args.pause)
                    times.append(page.evaluate(ANSWER, "12"[k % 2]))
                print(page.locator("#status").text_content())
            finally:
                process.send_signal(signal.SIGINT)
                process.communicate()
        browser.close()
    for name, column in zip(
        ("next picture", "on the disk"), zip(*times, strict=True), strict=True
    ):
        middle, high, most = np.percentile(column, [50, 95, 100])
        print(f"{name}: median {middle:.0f} ms, p95 {high:.0f} ms, worst {most:.0f} ms")


if __name__ == "__main__":
    main()
