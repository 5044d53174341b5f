"""The embedded default: an engine and a two-node cluster for those who have neither. `python -m dev up`."""
