"""A character tokeniser in the hub's format: one token for each letter of the alphabet.

Why not the checkpoint's own tokeniser: TrOCR's is RoBERTa's byte-level BPE, learned on English. It
spends two or three tokens on an accented letter, so lines grow long and beams run out of steps,
and half of such a letter is no valid UTF-8, so a wrong step writes a broken character. With one
token a letter, every Vietnamese letter can be written, none can be broken, a token's probability
is a letter's probability, and max_length counts characters.
"""

from __future__ import annotations

from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast

BOS, PAD, EOS, UNK = "<s>", "<pad>", "</s>", "<unk>"

SPECIALS = (BOS, PAD, EOS, UNK)
"""The first tokens, in the order of RoBERTa and so of TrOCR's published checkpoints."""


def char_tokenizer(alphabet: str, extra: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """A tokeniser whose ids are `SPECIALS`, then `extra` special tokens, then the alphabet.

    Without `extra` its ids are those of `Codec(alphabet, specials=len(SPECIALS))`.
    """
    vocabulary = {token: i for i, token in enumerate((*SPECIALS, *extra, *alphabet))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNK))
    tokenizer.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNK,
        additional_special_tokens=list(extra),
        clean_up_tokenization_spaces=False,
    )
