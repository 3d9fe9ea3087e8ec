"""Web page and HTTP API of `netchu serve` (extra `[serve]`)."""
