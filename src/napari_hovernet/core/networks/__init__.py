"""Networks, one file each; a new one is that file and one line in the registry."""
