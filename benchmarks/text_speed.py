"""Embedding texts against a plain transformers loop, side by side.

    python benchmarks/text_speed.py [--data FILE.csv] [--n N] [--repeat N]

Both sides run in one process, in turn, with the same weights, precision and batch size,
so that the ratio holds on a machine whose speed drifts. The plain loop takes the texts
as they come and pads each batch to its longest; this package sorts them by length.
Texts are the column `text` of FILE, or generated reviews. Prints texts per second, the
ratio (of the median times), and the time of a second look at the same pool.
"""

import argparse
import statistics
import time

import numpy as np
import pandas as pd
import torch
from arguments import count, existing_file
from transformers import AutoModel, AutoTokenizer

from modal_pretrain import EmbeddingCache, TextEncoder
from modal_pretrain.backbones.device import resolve_device, resolve_precision
from modal_pretrain.datasets import make_reviews
from modal_pretrain.text.hugging_face import PACKAGED_TEXT_WEIGHTS


def timed(function, *args):
    # The processor's clock would not count a device's time, but it is less noisy where
    # other programs run: both are taken.
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*args)
    return time.perf_counter() - wall, time.process_time() - cpu, result


def plain(model, tokenizer, texts, dtype, device, batch_size):
    blocks = []
    with torch.inference_mode(), torch.autocast(device.type, dtype):
        for i in range(0, len(texts), batch_size):
            batch = tokenizer(
                texts[i : i + batch_size],
                padding=True,
                truncation=True,
                max_length=256,
                return_tensors="pt",
            ).to(device)
            hidden = model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1)
            blocks.append(((hidden * mask).sum(1) / mask.sum(1)).cpu())
    return torch.cat(blocks).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=existing_file)
    parser.add_argument("--n", type=count, default=1000)
    parser.add_argument("--repeat", type=count, default=5)
    parser.add_argument("--batch-size", type=count, default=64)
    args = parser.parse_args()
    if args.data:
        texts = pd.read_csv(args.data)["text"].sample(args.n, random_state=0).tolist()
    else:
        texts = make_reviews(args.n, 8).subset("train").X.tolist()
    device = resolve_device("auto")
    dtype = resolve_precision("auto", device)
    folder = PACKAGED_TEXT_WEIGHTS["all-MiniLM-L6-v2"].path().parent
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).float().to(device).eval()
    encoder = TextEncoder(cache=None, batch_size=args.batch_size).fit(texts)

    sides = {
        "plain loop": lambda: plain(
            model, tokenizer, texts, dtype, device, args.batch_size
        ),
        "TextEncoder": lambda: encoder.transform(texts),
    }
    results = [side() for side in sides.values()]  # warm up
    gap = np.abs(results[0] - results[1]).max()
    times = {name: [] for name in sides}
    for _ in range(args.repeat):
        for name, side in sides.items():
            times[name].append(timed(side)[:2])
    words = np.mean([len(text.split()) for text in texts])
    print(
        f"{args.n} texts of {words:.0f} words, {dtype}, {device}; difference {gap:.1e}"
    )
    medians = {}
    for name, pairs in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        medians[name] = wall, cpu
        print(f"{name}: {args.n / wall:.0f} texts/s ({args.n / cpu:.0f} by CPU time)")
    ratios = [a / b for a, b in zip(*medians.values(), strict=True)]
    print(f"ratio: {ratios[0]:.2f} ({ratios[1]:.2f} by CPU time)")
    cached = TextEncoder(cache=EmbeddingCache(), batch_size=args.batch_size).fit(texts)
    cached.transform(texts)
    wall, cpu, _ = timed(cached.transform, texts)
    print(f"second look, from the cache: {wall:.3f} s ({cpu:.3f} s of CPU time)")


if __name__ == "__main__":
    main()
