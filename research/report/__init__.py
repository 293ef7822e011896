"""The pages and figures made from the recorded runs."""
