from netchu.decoding.corpora import unshared


def test_labels_that_others_wrote_too_are_left_out():
    labels = ["một hai ba bốn năm", "hai ba bốn", "sáu bảy tám chín mười"]
    assert unshared(labels, ["không Một hai ba bốn", "bảy tám chín"]) == labels[1:]
