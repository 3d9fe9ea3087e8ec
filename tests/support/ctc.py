"""The CTC loss of one line, as torch defines it."""

import torch


def line_loss(logits_TV, ids, blank):
    """The loss per character of a line whose text has the classes `ids`."""
    loss = torch.nn.functional.ctc_loss(
        logits_TV.log_softmax(-1), torch.tensor(ids), torch.tensor(len(logits_TV)),
        torch.tensor(len(ids)), blank=blank, reduction="sum",
    )  # fmt: skip
    return loss / len(ids)
