"""The `hanse` command: one file for each noun, and nothing that another program would import."""
