"""Files and tables: read in chunks, written whole or not at all."""
