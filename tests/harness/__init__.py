"""How the tests run: their parts, what a person sees meanwhile, and the report at the end.

parts       what lint, types, unit and e2e run
runner      processes side by side, their times, Ctrl-C
progress    a plugin of pytest: lines with the time left
estimate    the time left, from the expected durations
report      the file that a run of pytest leaves
summary     the table at the end
"""
