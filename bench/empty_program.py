"""A program that makes nothing: what `pulumi up` of it takes, the engine takes alone."""
