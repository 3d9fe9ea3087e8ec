import pytest

from netchu.data.batches import plan_items
from netchu.data.line_table import Line
from netchu.data.stored_lines import store_lines
from netchu.imaging.preparation import Preprocessing
from netchu.training.data_module import LineDataModule


def module(table, **changes):
    options = {
        "batch_size": 4,
        "steps_per_epoch": 5,
        "epochs": 5,
        "augmentation_strength": (0.2, 0.6),
        "seed": 1,
    }
    items = plan_items(table, 0, 0)
    return LineDataModule(table, items, table, Preprocessing("grey", 32), **options | changes)


def test_augmentation_strength_is_linear_from_the_first_epoch_to_the_last(drawn):
    assert [module(drawn).augmentation_strength_at(epoch) for epoch in range(5)] == pytest.approx(
        [0.2, 0.3, 0.4, 0.5, 0.6]
    )
    assert module(drawn, epochs=1).augmentation_strength_at(0) == 0.2


def test_the_number_of_training_batches_is_steps_per_epoch_and_the_seed_decides_them(drawn):
    first, again, other = (
        [
            batch.images_BCHW.numpy().tobytes()
            for batch in module(drawn, seed=seed).train_dataloader()
        ]
        for seed in (1, 1, 2)
    )
    assert len(first) == 5
    assert first == again != other


def test_worker_processes_load_the_same_batches(drawn, project_folder):
    def shown(table, workers):
        loader = module(table, workers=workers).train_dataloader()
        return [batch.images_BCHW.numpy().tobytes() for batch in loader]

    on_disk = store_lines(Line(**row) for row in drawn.to_dict("records"))
    in_memory = shown(drawn, 0)
    assert shown(drawn, 1) == shown(on_disk, 0) == shown(on_disk, 2) == in_memory


def test_workers_that_live_on_load_what_a_new_epoch_wants(drawn):
    def shown(workers):
        loader = module(drawn, workers=workers).train_dataloader()
        epochs = []
        for epoch in (0, 3, 1):
            loader.batch_sampler.sampler.set_epoch(epoch)
            epochs.append([batch.images_BCHW.numpy().tobytes() for batch in loader])
        return epochs

    alone, beside = shown(0), shown(2)
    assert alone == beside
    assert alone[0] != alone[1] != alone[2]


def test_validation_with_workers_reads_the_same_lines(drawn):
    def shown(workers):
        loader = module(drawn, workers=workers).val_dataloader()
        return [(batch.ids, batch.images_BCHW.numpy().tobytes()) for batch in loader]

    assert shown(2) == shown(0)
