"""The web page and its API: `netchu serve` (extra `[serve]`)."""
