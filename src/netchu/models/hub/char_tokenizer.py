"""A character tokeniser in the hub's format: one token per character of the alphabet.

It replaces TrOCR's tokeniser, RoBERTa's byte-level BPE, which was trained on English. That one
needs two or three tokens for an accented letter, so lines get long, and half of such a letter is
not valid UTF-8, so a wrong step gives a broken character. With one token per character no character
can be broken, the probability of a token is that of a character, and max_length counts characters.
"""

from __future__ import annotations

from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast

BOS, PAD, EOS, UNK = "<s>", "<pad>", "</s>", "<unk>"

SPECIALS = (BOS, PAD, EOS, UNK)
"""The first tokens, in the order of RoBERTa and of TrOCR's published checkpoints."""


def char_tokenizer(alphabet: str, extra: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """Return a tokeniser of `SPECIALS`, then `extra` special tokens, then the alphabet.

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
