"""Peak memory of embedding JPEG files, against the number of files.

    python benchmarks/memory.py
    python benchmarks/memory.py --n 1000 4000 --size 512 --to file

Each number of files gets a process of its own, which embeds them with the default
backbone and without a cache. Printed is the growth of its peak resident memory (VmHWM)
from the first, small pass on, next to what decoded pictures and embeddings would take.
The files are copies of 100 pictures, so that their making does not take long. With
``--to file`` the embeddings go to a memory-mapped file (`embed_to`).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from arguments import count, existing_folder
from PIL import Image


def peak_megabytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    raise OSError("/proc/self/status has no VmHWM")


def one(args):
    """Embed the first files of the folder; what the subprocess does."""
    from modal_pretrain import TimmEncoder

    paths = sorted(map(str, args.folder.glob("*.jpg")))[: args.n[0]]
    encoder = TimmEncoder(image_size=96, device="cpu", cache=None).fit(paths)
    encoder.transform(paths[:256])
    before = peak_megabytes()
    if args.to == "file":
        found = encoder.embed_to(paths, args.folder / "embeddings.npy")
    else:
        found = encoder.transform(paths)
    assert len(found) == args.n[0]
    print(json.dumps([before, peak_megabytes()]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=count, nargs="+", default=[1000, 4000])
    parser.add_argument("--size", type=count, default=256, help="pixels of the files")
    parser.add_argument("--to", choices=["memory", "file"], default="memory")
    parser.add_argument("--folder", type=existing_folder, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder:
        return one(args)
    rng = np.random.default_rng(0)
    print(f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')}, to {args.to}")
    print("| files | peak before | peak | growth | decoded | embeddings |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for i in range(max(args.n)):
            path = Path(folder, f"{i:06}.jpg")
            if i < 100:
                small = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                picture = Image.fromarray(small).resize((args.size, args.size))
                picture.save(path, quality=90)
            else:
                shutil.copy(Path(folder, f"{i % 100:06}.jpg"), path)
        for n in args.n:
            command = [sys.executable, __file__, "--n", str(n), "--folder", folder]
            done = subprocess.run(
                [*command, "--to", args.to], capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(done.stderr)
            before, peak = json.loads(done.stdout.splitlines()[-1])
            decoded = n * args.size**2 * 3 / 1e6
            cells = (before, peak, peak - before, decoded, n * 1280 * 4 / 1e6)
            print(f"| {n:,} |" + "".join(f" {c:,.0f} MB |" for c in cells), flush=True)


if __name__ == "__main__":
    main()
