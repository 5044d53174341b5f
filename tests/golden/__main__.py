"""Write every generated file. `make schema` runs it."""

from tests import versions
from tests.golden import SCHEMA, current_schema, messages, policies, project, reference, render_schema

if __name__ == "__main__":
    SCHEMA.write_text(render_schema(current_schema()))
    reference.PAGE.write_text(reference.page())
    project.FILE.write_text(project.page())
    policies.PAGE.write_text(policies.page())
    messages.PAGE.write_text(messages.page())
    versions.README.write_text(versions.page())
