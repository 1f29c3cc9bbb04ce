"""Processes of our own for what must not run in the server's: started, watched and ended here."""
