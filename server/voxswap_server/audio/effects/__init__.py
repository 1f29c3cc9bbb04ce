"""What the server does to audio whatever voice it is: pitch, level."""
