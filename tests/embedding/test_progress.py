"""What embedding shows of its progress."""

import numpy as np
import pytest

from modal_pretrain import EmbeddingCache
from modal_pretrain.cache.sqlite import DiskStore
from modal_pretrain.embedding import progress


@pytest.mark.parametrize("verbose", [0, 1])
def test_progress_bar(make_encoder, pictures, monkeypatch, capfd, verbose):
    monkeypatch.setattr("modal_pretrain._progress.EVERY", 0.0)
    make_encoder(verbose=verbose, cache=None).fit(pictures).transform(pictures)
    out, err = capfd.readouterr()
    assert out == ""
    assert ("Embedding" in err) == bool(verbose)


def bars(monkeypatch):
    """Collect what the bars of a pass have done."""
    made = []

    class Bar:
        def __init__(self, total, **params):
            self.total, self.n, self.initial = total, 0, 0
            self.closed = False
            made.append(self)

        def update(self, n):
            self.n += n

        def close(self):
            self.closed = True

    monkeypatch.setattr(progress, "progress_bar", Bar)
    return made


def test_no_standard_error_to_draw_on(make_encoder, pictures, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    assert len(make_encoder(cache=None, verbose=1).transform(pictures)) == len(pictures)


def test_one_bar_for_all_blocks_of_a_disk_cache(
    make_encoder, pictures, monkeypatch, tmp_path
):
    monkeypatch.setattr(DiskStore, "block_rows", 5)
    encoder = make_encoder(cache=str(tmp_path), verbose=1, batch_size=2).fit(pictures)
    made = bars(monkeypatch)
    encoder.transform(pictures[3:6])
    assert [(bar.n, bar.total) for bar in made] == [(3, 3)]
    encoder.transform(pictures)
    assert len(made) == 2
    assert (made[1].n, made[1].total, made[1].closed) == (24, 24, True)
    encoder.transform(pictures)  # nothing to compute: it never moves
    assert made[2].n == 0 and made[2].closed


def test_found_rows_do_not_count_for_the_speed(make_encoder, pictures, monkeypatch):
    encoder = make_encoder(verbose=1).fit(pictures)
    encoder.transform(pictures[:10])
    made = bars(monkeypatch)
    encoder.transform(pictures)
    assert (made[0].initial, made[0].n) == (10, 24)


@pytest.mark.parametrize("folder", [None, "cache"])
def test_found_rows_between_those_that_are_computed(
    make_encoder, pictures, monkeypatch, tmp_path, folder
):
    cache = EmbeddingCache() if folder is None else str(tmp_path / folder)
    encoder = make_encoder(verbose=1, batch_size=2, cache=cache).fit(pictures)
    new = np.arange(3, 24, 5)
    encoder.transform(np.delete(pictures, new, axis=0))
    made = bars(monkeypatch)
    encoder.transform(pictures)
    # The last batch is row 23; before it the bar stood there.
    assert (made[0].n, made[0].initial) == (24, 24 - len(new))
