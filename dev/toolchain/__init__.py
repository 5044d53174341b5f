"""Build programs from published Go modules, because many networks do not reach the servers with the finished programs.

programs    the table of the programs
build       the build of a program into the cache
golang      the Go command
prepare     the files that the providers embed
partial     the modules that are compiled only in part
engine      a `pulumi` that works on this machine
"""
