#!/bin/sh
# `sam init --location` of this repository: sam has made a folder, and this fills it as `tailrace new` does. It is a shell
# script, because the installer of sam has no Python that could run another one.
set -eu
repository="{{ cookiecutter._repo_dir }}"
case "$repository" in
  /*) ;;
  *) repository="{{ cookiecutter._output_dir }}/$repository" ;;
esac
if ! [ -d "$repository/layers/tailrace" ]; then
  echo "tailrace: $repository is not there. Name the location by its whole path." >&2
  exit 1
fi
rm placeholder.txt
PYTHONPATH="$repository/layers/tailrace" PYTHONDONTWRITEBYTECODE=1 "${PYTHON:-python3}" -m tailrace_start new .
