import dataclasses
from collections import Counter

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.core.params import parse_config
from netchu.core.text import ALPHABET
from netchu.data.batches import (
    LineDataset,
    SharedBatches,
    WidthBatchSampler,
    collate,
    concat_photos,
    frame_batches,
    item_widths,
    plan_items,
)
from netchu.imaging.augmentation import Augmenter
from netchu.imaging.images import decode, encode
from netchu.imaging.preparation import Preprocessing
from netchu.models.networks.netchu_small import NetchuSmall
from small_project import MODEL, as_table, drawn_lines, picture

GREY = Preprocessing("grey", 32)
width_lists = st.lists(st.sampled_from((32, 64, 96)), min_size=1, max_size=40)


@given(width_lists, st.integers(1, 8))
def test_without_steps_every_item_comes_once_in_batches_of_one_width(widths, size):
    batches = list(WidthBatchSampler(widths, size))
    assert sorted(i for batch in batches for i in batch) == list(range(len(widths)))
    for batch in batches:
        assert len({widths[i] for i in batch}) == 1
        assert len(batch) <= size


@given(width_lists, st.integers(1, 8), st.integers(1, 30), st.integers(0, 5))
def test_every_item_comes_once_before_any_comes_again(widths, size, steps, seed):
    batches = list(WidthBatchSampler(widths, size, steps, (seed, 3)))
    assert len(batches) == steps
    assert all(len({widths[i] for i in batch}) == 1 for batch in batches)
    seen = Counter()
    for batch in batches:
        for index in batch:
            assert seen[index] == 0 or len(seen) == len(widths)
            seen[index] += 1
    assert max(seen.values()) - min(seen.values()) <= (1 if len(seen) == len(widths) else 0)


def test_the_seed_decides_the_order():
    def drawn(*seed):
        return list(WidthBatchSampler([32, 64] * 20, 4, 10, seed))

    assert drawn(1, 0) == drawn(1, 0)
    assert drawn(1, 0) != drawn(1, 1)
    assert drawn(1, 0) != drawn(2, 0)


@given(width_lists, st.integers(2, 8), st.integers(1, 12), st.integers(2, 3))
def test_ranks_share_each_batch_evenly_and_without_overlap(widths, size, steps, world):
    ranks = [
        list(WidthBatchSampler(widths, size, steps, (1,), rank, world)) for rank in range(world)
    ]
    for shards in zip(*ranks, strict=True):
        assert len({len(shard) for shard in shards}) == 1
        together = [i for shard in shards for i in shard]
        assert len(set(together)) == len(together) > 0
        assert len({widths[i] for i in together}) == 1


def test_all_ranks_together_see_the_batches_of_one_process():
    widths = [32] * 16 + [64] * 8
    whole = list(WidthBatchSampler(widths, 4, 9, (5,)))
    shards = zip(*(WidthBatchSampler(widths, 4, 9, (5,), rank, 2) for rank in (0, 1)), strict=True)
    assert [sorted(a + b) for a, b in shards] == [sorted(batch) for batch in whole]


@given(
    st.lists(st.tuples(st.integers(20, 60), st.integers(5, 200)), min_size=6, max_size=12),
    st.sampled_from((GREY, Preprocessing("adaptive", 96), Preprocessing("square", 64),
                     Preprocessing("grey", 48, 160))),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_item_widths_are_those_of_the_prepared_images(sizes, how):
    lines = [
        dataclasses.replace(line, image=encode(np.full(size, 200, np.uint8)), level="word",
                            writer="An", height=size[0], width=size[1])
        for line, size in zip(drawn_lines(number=len(sizes)), sizes, strict=True)
    ]  # fmt: skip
    table = as_table(lines)
    items = plan_items(table, 1.0, 3)
    dataset = LineDataset(table, items, how, None, 0)
    widths = item_widths(table, items, how)
    assert any(len(item) > 1 for item in items)
    assert [dataset[i].image_HW.shape[1] for i in range(len(items))] == list(widths)


def test_words_of_one_writer_are_concatenated_and_lines_are_not(drawn):
    words = drawn.assign(level=["word", "word", "line"] * 7 + ["word"])
    items = plan_items(words, 1.0, 3)
    assert items[: len(words)] == [(row,) for row in range(len(words))]
    joined = items[len(words) :]
    assert joined
    for item in joined:
        rows = words.iloc[list(item)]
        assert len(item) in (2, 3)
        assert set(rows["level"]) == {"word"}
        assert rows["writer"].nunique() == 1
    dataset = LineDataset(words, items, GREY, None, 0)
    place = len(words)
    rows = words.iloc[list(items[place])]
    assert dataset[place].text == " ".join(rows["text"])
    assert dataset[place].id == "+".join(rows["id"])


def test_concat_prob_and_seed_decide_which_words_are_concatenated(drawn):
    words = drawn.assign(level="word")
    assert list(plan_items(words, 0.0, 3)) == [(row,) for row in range(len(words))]
    in_joined = [
        sum(len(item) for item in plan_items(words, share, 3) if len(item) > 1)
        for share in (0.5, 1.0)
    ]
    assert len(words) * 0.3 <= in_joined[0] < in_joined[1] <= len(words)
    first, again, other = (list(plan_items(words, 0.5, seed)) for seed in (3, 3, 4))
    assert first == again != other


def test_items_are_found_by_their_number_from_both_ends(drawn):
    items = plan_items(drawn.assign(level="word"), 1.0, 3)
    listed = list(items)
    assert [items[number] for number in (-1, -len(items))] == [listed[-1], listed[0]]
    assert items[-3:] == listed[-3:]
    with pytest.raises(IndexError):
        items[len(items)]


def test_items_and_batches_of_a_seed_have_not_changed():
    """A published model can be trained again only while its seed draws the same batches."""
    lines = pd.DataFrame(
        {
            "level": ["word", "word", "line", "word"] * 4,
            "writer": ["Bo", "An", "An", "Bo", "An", "Bo", "An", "Bo"] * 2,
            "weight": [1.0, 1.5, 1.0, 0.5] * 4,
        },
        index=range(100, 116),
    )
    items = plan_items(lines, 0.8, 3)
    # Row 1 makes two items and row 7 none. The words of An are joined before those of Bo.
    assert items[:15] == [(row,) for row in (0, 1, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14)]
    assert items[15:] == [(15,), (12, 4), (1, 9, 1), (13, 15), (5, 8), (0, 3, 11)]
    batches = WidthBatchSampler([64, 32, 32, 96, 32, 64, 96, 32], 3, 5, (7, 1))
    assert list(batches) == [[0, 5], [6, 3], [2], [4, 1, 7], [3, 6]]
    assert len(batches) == 5


@pytest.mark.parametrize(
    ("seed", "index", "drawn_seed"),
    [(0, 3, 3), (5, 7, 5_000_022), (2**31 - 1, 10, 2**31 - 1_000_003 + 10)],
)
def test_the_augmentation_of_a_seed_has_not_changed(drawn, seed, index, drawn_seed):
    seeds = []

    def augmenter(photo, number):
        seeds.append(number)
        return photo

    LineDataset(drawn, plan_items(drawn, 0, 0), GREY, augmenter, seed)[index]
    assert seeds == [drawn_seed]


def test_a_batch_is_moved_and_pinned_with_all_that_it_holds(drawn, monkeypatch):
    (batch, *_) = frame_batches(drawn, GREY, 4)
    moved = batch.to(torch.device("meta"))
    assert (moved.images_BCHW.device.type, moved.widths_B.device.type) == ("meta", "meta")
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    pinned = batch.pin_memory()
    assert pinned.images_BCHW.equal(batch.images_BCHW + 1)
    assert pinned.widths_B.equal(batch.widths_B + 1)
    for other in (moved, pinned):
        assert (other.texts, other.ids, other.levels) == (batch.texts, batch.ids, batch.levels)


def test_a_weight_says_how_many_items_a_line_makes():
    weights = np.repeat([1.0, 2.0, 0.25, 1.5], 400)
    lines = pd.DataFrame({"level": "line", "writer": "w", "weight": weights})
    counts = np.bincount([row for (row,) in plan_items(lines, 0.0, 3)], minlength=len(lines))
    one, two, quarter, more = counts.reshape(4, 400)
    assert set(one) == {1}
    assert set(two) == {2}
    assert set(quarter) == {0, 1}
    assert 60 <= quarter.sum() <= 140
    assert set(more) == {1, 2}
    assert 540 <= more.sum() <= 660


def test_a_weight_does_not_change_the_lines_that_are_read_once(drawn):
    loader = frame_batches(drawn.assign(weight=3.0), GREY, 4)
    assert sorted(line for batch in loader for line in batch.ids) == sorted(drawn["id"])


def test_photos_are_concatenated_on_the_paper_of_the_first():
    joined = concat_photos([picture("một", 40), np.full((20, 64), 120, np.uint8)])
    assert joined.shape == (40, 64 + 10 + 128)
    assert (joined[:, :64] == picture("một", 40)).all()
    assert (joined[:, 64:74] == 235).all()
    assert (joined[:, 74:] == 120).all()


def test_batches_hold_images_texts_ids_and_levels(drawn):
    batches = list(frame_batches(drawn, GREY, 4))
    assert sum(len(batch.texts) for batch in batches) == len(drawn)
    told = {i: (t, lv) for b in batches for i, t, lv in zip(b.ids, b.texts, b.levels, strict=True)}
    wanted = zip(drawn["id"], drawn["text"], drawn["level"], strict=True)
    assert told == {i: (text, level) for i, text, level in wanted}
    for batch in batches:
        assert batch.images_BCHW.shape[:3] == (len(batch.texts), 1, 32)
        assert batch.images_BCHW.dtype == torch.float32
        assert set(batch.widths_B.tolist()) == {batch.images_BCHW.shape[3]}


def test_the_reading_of_a_line_does_not_depend_on_its_batch(drawn):
    torch.manual_seed(3)
    config = parse_config(NetchuSmall.config_class, MODEL, "test")
    recogniser = NetchuSmall(config, ALPHABET).eval()
    together, alone = {}, {}
    for size, readings in ((8, together), (1, alone)):
        for batch in frame_batches(drawn, recogniser.preprocessing, size):
            readings |= dict(zip(batch.ids, recogniser.transcribe(batch), strict=True))
    assert len(alone) == len(drawn)
    for line, reading in alone.items():
        assert together[line].text == reading.text
        assert together[line].confidence == pytest.approx(reading.confidence, rel=1e-3)
    assert any(reading.text for reading in alone.values())


def test_augmentation_depends_on_seed_and_index_only(drawn):
    def shown(seed, order):
        dataset = LineDataset(drawn, plan_items(drawn, 0, 0), GREY, Augmenter(0.8), seed)
        images = {i: dataset[i].image_HW.tobytes() for i in order}
        return [images[i] for i in sorted(images)]

    assert shown(1, range(8)) == shown(1, reversed(range(8)))
    assert shown(1, range(8)) != shown(2, range(8))


def tall_lines(lines, extension, height):
    """Lines whose photos are some hundred pixels high, smooth, and odd in width."""
    photos = [
        cv2.resize(picture(text, 40), None, fx=height / 40, fy=height / 40)[:, :-1 - row % 2]
        for row, text in enumerate(lines["text"])
    ]  # fmt: skip
    return lines.assign(
        image=[cv2.imencode(extension, photo)[1].tobytes() for photo in photos],
        width=[photo.shape[1] for photo in photos],
        height=height,
    )


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_photos_are_shrunk_before_they_are_distorted_and_keep_the_width_of_their_batch(
    drawn, extension
):
    tall = tall_lines(drawn, extension, 197)
    items, distorted = plan_items(tall, 0, 0), []

    def recorded(photo, seed):
        distorted.append(photo)
        return photo

    dataset = LineDataset(tall, items, GREY, recorded, 1)
    whole = LineDataset(tall, items, GREY, None, 1)
    widths = []
    for index in range(len(dataset)):
        image = dataset[index].image_HW
        widths.append(image.shape[1])
        assert np.abs(image - whole[index].image_HW).mean() < 0.02
    assert widths == item_widths(tall, items, GREY).tolist()
    assert {photo.shape[0] for photo in distorted} == {48}


def test_tall_jpegs_are_decoded_to_a_fraction_in_training_alone(drawn, monkeypatch):
    tall = tall_lines(drawn, ".jpg", 197)  # four times the 48 px that are distorted
    items, asked = plan_items(tall, 0, 0), []

    def recorded(encoded, where, reduction=1):
        photo = decode(encoded, where, reduction)
        asked.append((reduction, photo.shape[0]))
        return photo

    monkeypatch.setattr("netchu.data.batches.decode", recorded)
    LineDataset(tall, items, GREY, Augmenter(0.5), 1)[0]
    LineDataset(tall, items, GREY, None, 1)[0]
    assert asked == [(4, 50), (1, 197)]


def test_an_image_that_does_not_decode_is_an_error_that_names_its_line(drawn):
    broken = drawn.assign(image=[b"no image", *drawn["image"][1:]])
    with pytest.raises(NetchuError, match=r"line train-00: not an image"):
        list(frame_batches(broken, GREY, 4))


def test_collate_refuses_lines_of_unequal_width(drawn):
    dataset = LineDataset(drawn, plan_items(drawn, 0, 0), GREY, None, 0)
    with pytest.raises(ValueError, match="same shape"):
        collate([dataset[0], dataset[1]])


@given(lines=st.integers(1, 40), size=st.integers(1, 5), world=st.integers(1, 6))
def test_processes_share_all_batches_in_equally_many_steps(lines, size, world):
    batches = WidthBatchSampler([8 * (index % 3 + 1) for index in range(lines)], size)
    shares = [SharedBatches(batches, rank, world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    together = {}
    for share in shares:
        for number, batch in zip(share.numbers, share, strict=True):
            assert together.setdefault(number, batch) == batch
    assert [together[number] for number in sorted(together)] == list(batches)
