"""What a DVC stage depends on: fingerprints of code and of data, computed instead of listed."""
