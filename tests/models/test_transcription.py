import pytest

from netchu.core.errors import NetchuError
from netchu.data.batches import frame_batches
from netchu.decoding.readings import Reading
from netchu.models.transcription import read_lines
from netchu.training.stage import build_recogniser
from small_project import as_table, drawn_lines, params


@pytest.fixture(scope="module")
def recogniser():
    return build_recogniser(params(), "netchu_small").train()


def test_readings_are_in_the_order_of_the_rows(recogniser):
    lines = as_table(drawn_lines("test", 9))
    wanted = {}
    for batch in frame_batches(lines, recogniser.eval().preprocessing, 4):
        wanted |= zip(batch.ids, recogniser.transcribe(batch), strict=True)
    recogniser.train()
    told = []
    readings = read_lines(recogniser, lines, 4, advance=told.append)
    assert [reading.text for reading in readings] == [wanted[i].text for i in lines["id"]]
    assert sum(told) == 9
    assert not recogniser.training


def test_ids_may_repeat_and_transcribe_may_be_replaced(recogniser):
    lines = as_table(drawn_lines("test", 6)).assign(id="same")

    def by_text(batch):
        return [Reading(text, 1.0, ()) for text in batch.texts]

    readings = read_lines(recogniser, lines, 4, by_text)
    assert [reading.text for reading in readings] == lines["text"].tolist()


def test_a_broken_image_is_named_by_its_id(recogniser):
    lines = as_table(drawn_lines("test", 3))
    lines.at[1, "image"] = b"no image"
    with pytest.raises(NetchuError, match="line test-01"):
        read_lines(recogniser, lines, 4)
