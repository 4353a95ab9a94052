"""`python -m tellapart`, for where the folder of installed commands is not on the path."""

from tellapart.cli.entry import main

if __name__ == "__main__":
    main()
