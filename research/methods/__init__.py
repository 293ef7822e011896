"""What the studies compare with: baselines, networks, and deliberate bugs."""
