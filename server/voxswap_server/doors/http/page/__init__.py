"""The playground: a page for people, of files that a browser takes as they are."""
