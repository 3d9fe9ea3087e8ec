"""The command line `netchu`, one module a command."""
