"""The pages and figures that are written from the recorded runs."""
