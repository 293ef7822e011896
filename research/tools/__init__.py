"""Screenshots, film, notebooks and checks, for a person to run."""
