"""What the README's numbers come from, and what kills the bridge to see what it loses."""
