"""How wrong readings are: edits per line, what they amount to over many lines, and where they lie.

Every rate is total edits over total reference units (Levenshtein, by jiwer), never an average of
lines: CER over characters, WER over words, SER over whole lines. Truths and readings pass
`text.normalise`, so that composed and decomposed text count alike.
"""
