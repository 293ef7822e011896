"""Pictures, film, notebooks and checks that a person runs."""
