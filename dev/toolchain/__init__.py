"""Programs that are built from published Go modules, because they cannot be downloaded everywhere.

programs    the table of the programs
build       builds a program into the cache
golang      finds a Go for it
prepare     files that the providers embed
complete    parts of modules that are replaced before a build
engine      a `pulumi` that works on this machine
"""
