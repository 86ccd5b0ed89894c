#!/usr/bin/env bash
# The tests marked `label`, in an environment of their own that is built when it is missing or out of date.
set -euo pipefail
cd "$(dirname "$0")/../.."

bash tests/label/build_environment.sh
exec .venv-label/bin/python -m pytest tests/label -m label "$@"
