# The Python that Lambda runs the functions with, and that compiles them: on the PATH, pyenv's or uv's. Empty if none runs.
python313 = $(firstword $(foreach each,python3.13 $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13) \
  $(shell uv python find --managed-python 3.13 2>/dev/null),\
  $(shell $(each) -c 'import sys; print(sys.executable if sys.version_info[:2] == (3, 13) else "")' 2>/dev/null)))
