"""`make schema`: write down what the component offers to programs in every language, and the page that tells people."""

from tests.golden import SCHEMA, current, reference, written

if __name__ == "__main__":
    SCHEMA.write_text(written(current()))
    reference.PAGE.write_text(reference.page())
