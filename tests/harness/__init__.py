"""The runner of the tests, and the check of the language.

parts       the commands of lint, types, unit and e2e
runner      parallel processes, their times, Ctrl-C
progress    a pytest plugin that prints the time left
estimate    the time left, from expected durations
report      the report file of a pytest run
summary     the table at the end
soak_page   the page of the last complete soak
drill_page  the table of the last complete run of the drills
language    the check of docstrings, comments and pages
prose       the texts that it checks
"""
