"""Images, labels, targets and features of data sets: finding, pairing and reading them."""
