"""Write the file of the current version."""

from tests.releases import write

if __name__ == "__main__":
    write()
