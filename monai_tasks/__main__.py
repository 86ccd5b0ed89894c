"""`python -m monai_tasks` is the `monai-tasks` command."""

from monai_tasks.cli import main

main()
