"""`make schema`: write down what the component offers to programs in every language, as the engine is told it."""

from tests.golden import SCHEMA, current, written

if __name__ == "__main__":
    SCHEMA.write_text(written(current()))
