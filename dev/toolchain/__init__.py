"""What the project runs, built from published Go modules where it cannot be had otherwise.

`programs.py` is the table of what is built, `build.py` builds one of them into the cache, `golang.py` finds a Go to
do it with, and `engine.py` is what the rest of the project asks: a `pulumi` that works.
"""
