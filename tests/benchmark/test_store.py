"""Folders that several processes begin together."""

import multiprocessing

import pytest

from modal_pretrain.benchmark import RecordStore, open_stores

N = 4


def create(root, config, ready):
    ready.wait()
    RecordStore(root, config).create()


def test_no_axis_is_lost_where_processes_begin_together(small, tmp_path):
    context = multiprocessing.get_context("fork")
    for attempt in range(15):
        ready = context.Barrier(N)
        processes = [
            context.Process(
                target=create,
                args=(tmp_path / str(attempt), small(seeds=(seed,)), ready),
            )
            for seed in range(N)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
        (store,) = open_stores(tmp_path / str(attempt))
        assert sorted(store.config.seeds) == list(range(N))


def test_a_store_is_opened_by_its_folder(small, tmp_path):
    made = RecordStore(tmp_path, small())
    made.create()
    moved = tmp_path / "moved"
    made.folder.rename(moved)
    opened = RecordStore.open(moved)
    assert opened.config == made.config
    assert opened.folder == moved
    with pytest.raises(ValueError, match=r"nowhere.config.json is missing"):
        RecordStore.open(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["run-202401011200", "mine-0123456789ab"])
def test_a_folder_that_a_person_named_has_no_hash_in_its_name(small, tmp_path, name):
    made = RecordStore(tmp_path, small())
    made.create()
    moved = made.folder.rename(tmp_path / name)
    assert RecordStore.open(moved).config == made.config


def test_the_data_set_in_a_folders_name_may_hold_signs(small, tmp_path):
    made = RecordStore(tmp_path, small(dataset="my.data:load"))
    made.create()
    assert RecordStore.open(made.folder).config == made.config
    other = made.folder.rename(tmp_path / "my.data.load-0123456789ab")
    with pytest.raises(ValueError, match="holds settings whose folder ends in"):
        RecordStore.open(other)
