"""Parameters, paths, text, files and errors, which every other package builds on."""
