"""Limits that several rules share."""

LONGEST_CERTIFICATE_DAYS = 397
"""Days a server certificate may last. Browsers, and Go's and Apple's clients on macOS, refuse longer ones."""

CA_NOTICE_DAYS = 180
"""Days from the first warning that a generated CA will end to its replacement. The user rotates the CA meanwhile."""
