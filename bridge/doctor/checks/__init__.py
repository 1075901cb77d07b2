"""What is tried, one subject a module."""
