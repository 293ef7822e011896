"""What is timed, one module each; each is recorded in research/runs/."""
