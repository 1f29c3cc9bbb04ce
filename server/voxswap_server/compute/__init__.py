"""Who computes next, on which thread, and what becomes of those that hang."""
