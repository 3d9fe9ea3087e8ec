"""The CTC loss of one line, as torch defines it, and a head with a known output."""

import torch

from netchu.models.ctc_loss import CTCHead


def line_loss(logits_TV, ids, blank):
    """The loss per character of a line whose text has the classes `ids`."""
    loss = torch.nn.functional.ctc_loss(
        logits_TV.log_softmax(-1), torch.tensor(ids), torch.tensor(len(logits_TV)),
        torch.tensor(len(ids)), blank=blank, reduction="sum",
    )  # fmt: skip
    return loss / len(ids)


class LastStepHead(CTCHead):
    """A head that is certain of blanks, and of one letter at the last time step."""

    def __init__(self, head, letter):
        super().__init__(head.in_features, head.classes, head.blank, head.steps)
        self.letter = letter

    def forward(self, columns_BTC):
        logits_BTV = torch.full_like(super().forward(columns_BTC), -50.0)
        logits_BTV[:, :-1, self.blank] = 50.0
        logits_BTV[:, -1, self.letter] = 50.0
        return logits_BTV
