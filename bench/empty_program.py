"""A program without resources. `pulumi up` of it takes the time of the engine alone."""
