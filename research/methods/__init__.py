"""What the studies compare with: baselines, networks, and bugs on purpose."""
