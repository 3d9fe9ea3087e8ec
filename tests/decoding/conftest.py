"""A language model that the tests of decoding share."""

import pytest

import language


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    return language.write(tmp_path_factory.mktemp("model") / "language_model.npz")
