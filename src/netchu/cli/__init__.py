"""The command line: `netchu read`, `netchu train` and the others."""
