"""Sources of handwriting, one module each, with a function `parse`; see `data.parse`."""
