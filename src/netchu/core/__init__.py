"""Configuration, text, files, errors: what every other package builds on."""
