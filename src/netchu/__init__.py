"""netchu (nét chữ): rebuild, compare and ship recognisers of Vietnamese handwriting."""
