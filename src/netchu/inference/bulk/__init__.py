"""Reading of many files into a table, by processes of this machine or on a Ray cluster."""
