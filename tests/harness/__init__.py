"""The runner of the tests: their parts, their progress, and the summary at the end.

parts       the commands of lint, types, unit and e2e
runner      parallel processes, their times, Ctrl-C
progress    a pytest plugin that prints the time left
estimate    the time left, from expected durations
report      the report file of a pytest run
summary     the table at the end
"""
