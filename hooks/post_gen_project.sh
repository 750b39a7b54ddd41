#!/bin/sh
# `sam init --location` of this repository: sam has made a folder, and this fills it as `tailrace new` does. It is a shell
# script, because the installer of sam has no Python that could run another one.
set -eu
# In these, no character of a path means anything to the shell.
repository=$(cat <<'END_OF_PATH'
{{ cookiecutter._repo_dir }}
END_OF_PATH
)
place=$(cat <<'END_OF_PATH'
{{ cookiecutter._output_dir }}
END_OF_PATH
)
case "$repository" in
  /*) ;;
  *) repository="$place/$repository" ;;
esac
if ! [ -d "$repository/layers/tailrace" ]; then
  echo "tailrace: $repository is not there. Name the location by its whole path." >&2
  exit 1
fi
python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "tailrace: $python is not Python 3.11 or newer. Name one that is: PYTHON=python3.13 sam init …" >&2
  exit 1
fi
rm placeholder.txt
folder="${PWD##*/}"
cd .. # where the user is, so that what comes next begins with `cd`
PYTHONPATH="$repository/layers/tailrace" PYTHONDONTWRITEBYTECODE=1 "$python" -m tailrace_start new -- "$folder"
