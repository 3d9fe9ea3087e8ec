"""Profile gpu keeps to what the source projects say; its comments list where it does not."""

import pytest
import yaml

from compositions import composed
from netchu.core.params import Params, parse_config
from netchu.models import network_class
from netchu.training import data_module

EXPECTED = {
    # VGG16 with weights of ImageNet and LSTMs, first the LSTMs alone, then all; Cinnamon.
    "crnn_vgg": {
        "model": {"weights": "imagenet", "depth": 16},
        "pretrain": [],
        "finetune": [
            {"datasets": ("cinnamon",), "epochs": 40, "learning_rate": 1e-3, "freeze": "backbone",
             "schedule": "constant"},
            {"datasets": ("cinnamon",), "epochs": 30, "learning_rate": 1e-4, "freeze": "",
             "schedule": "constant"},
        ],
    },
    # Lines of 163 px, two LSTMs of 512 units, plateau and early stopping by the validation loss.
    "crnn_residual": {
        "model": {"height": 163, "width": 1.0, "layers": 2, "shortcut": 0.0},
        "pretrain": [],
        "finetune": [
            {"datasets": ("kalapa",), "epochs": 100, "steps_per_epoch": 68, "optimizer": "adam",
             "schedule": "plateau", "patience": 20, "monitor": "val_loss"},
        ],
    },
    # B1 and B2 of EfficientNetV2, pretrained on three kinds of generated lines, five folds.
    "effnet_seq2seq": {
        "model": {"imagenet": True, "ctc_weight": 0.0, "height": 128, "max_width": 2048},
        "pretrain": [{"datasets": ("augmented", "address", "verse")}],
        "finetune": [{"datasets": ("kalapa",), "folds": 5}],
    },
    "trocr": {
        "model": {"checkpoint": "microsoft/trocr-base-handwritten", "image_height": 384,
                  "image_width": 384, "max_length": 128, "ctc_weight": 0.0},
        "finetune": [
            {"optimizer": "adamw", "learning_rate": 5e-5, "epochs": 10, "batch_size": 4},
        ],
    },
    "deepseek_ocr": {
        "model": {"rank": 16},
        "pretrain": [],
        "finetune": [
            {"datasets": ("vnondb", "vnondb_paragraph", "few_words"), "optimizer": "adamw8bit",
             "learning_rate": 2e-4, "epochs": 1},
        ],
    },
}  # fmt: skip
"""What a source project says of its network and training, by our system."""


@pytest.fixture(scope="module")
def params():
    return parse_config(Params, yaml.safe_load(composed("gpu")), "gpu")


@pytest.mark.parametrize("system", EXPECTED)
def test_a_system_is_trained_as_its_source_says(params, system):
    settings = params.system(system)
    network = network_class(params.network(system))
    model = parse_config(network.config_class, settings.model, system)
    expected = EXPECTED[system]
    found = {
        "model": {name: getattr(model, name) for name in expected["model"]},
    } | {
        stage: [
            {name: getattr(phase, name) for name in wanted}
            for phase, wanted in zip(
                getattr(settings, stage).values(), expected[stage], strict=True
            )
        ]
        for stage in ("pretrain", "finetune")
        if stage in expected
    }  # fmt: skip
    assert found == expected


def test_the_two_members_of_the_second_of_kalapas_challenge(params):
    members = params.system("effnet_seq2seq").model["members"]
    assert [(m["backbone"], m["hidden"]) for m in members] == [
        ("tf_efficientnetv2_b1", 384), ("tf_efficientnetv2_b2", 256)
    ]  # fmt: skip
    assert params.synthetic_dataset("augmented").datasets == ("kalapa",)
    assert params.synthetic_dataset("augmented").renderer == "copy"


def test_the_numbers_of_words_and_paragraphs_are_those_of_the_first_source(params):
    # 500 words to train on; tested on all lines, 20 paragraphs and 200 words.
    limits = {name: dataset.limit for name, dataset in params.datasets.items()}
    assert (limits["few_words"], limits["test_words"], limits["test_paragraphs"]) == (500, 200, 20)
    assert params.evaluate.limit == 0
    assert {"test_words", "test_paragraphs"} <= set(params.evaluate.datasets)
    (phase,) = params.system("deepseek_ocr").finetune.values()
    assert phase.steps_per_epoch * phase.batch_size == pytest.approx(5627, rel=0.01)


def test_half_of_the_lines_that_the_networks_of_gpu_see_are_real(params):
    # The real lines are counted in the split that is published; 7,826 of them are for training.
    (phase,) = params.system("netchu_small").finetune.values()
    (weight,) = {phase.dataset_weights[name] for name in ("kalapa", "cinnamon", "vnondb")}
    generated = params.synthetic["address"].count + params.synthetic["verse"].count
    assert weight * 7826 / (weight * 7826 + generated) == pytest.approx(0.5, abs=0.02)


def test_a_gpu_does_not_wait_for_the_loader(params, monkeypatch):
    monkeypatch.setattr(data_module, "available_cores", lambda: params.compute.threads)
    assert data_module.loading_processes(params) == data_module.MAX_AUTOMATIC
