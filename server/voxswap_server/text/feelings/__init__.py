"""What is felt in a text, read off its words."""
