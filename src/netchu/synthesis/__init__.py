"""Generated handwriting: texts, and lines drawn from them with fonts."""
