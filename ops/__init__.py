"""What a person does with a registry that runs: `python -m ops verify`, `status`, `trust`, `login` and `recover`.

They work on any stack of the program, whichever cluster it is on; nothing here needs the embedded one.
"""
