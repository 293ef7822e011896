"""Screenshots, film and checks, for a person to run."""
