"""Joint scores of beams that change places."""

import torch

from netchu.models.ctc_prefix import CTCPrefixScorer
from netchu.models.hub.joint_decoding import CTCLogitsProcessor

BLANK, END, A, B = range(4)
START = 9


def test_scores_follow_beams_that_change_places():
    logits = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    logits[..., END] = -torch.inf
    scorer = CTCPrefixScorer(logits.softmax(-1), torch.tensor([6, 4]), BLANK, END, weight=0.5)
    joint = CTCLogitsProcessor(scorer)
    decoder = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    calls = [
        [[START], [START], [START], [START]],
        [[START, A], [START, B], [START, B], [START, A]],
        [[START, B, A], [START, A, A], [START, B, B], [START, B, A]],
    ]
    for beams in calls:
        found = joint(torch.tensor(beams), decoder)
    for number, (line, text) in enumerate(((0, [B, A]), (0, [A, A]), (1, [B, B]), (1, [B, A]))):
        prefixes = scorer.empty()
        for letter in text:
            prefixes = scorer.extended(prefixes, torch.arange(2), torch.tensor([letter, letter]))
        expected = decoder[number].log_softmax(-1) + scorer.gains(prefixes)[line].float()
        torch.testing.assert_close(found[number], expected)
