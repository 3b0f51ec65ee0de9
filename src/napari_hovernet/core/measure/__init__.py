"""What is measured on maps and instances: nuclei, scores, blobs, magnitude, changes."""
