#!/bin/sh
# Print the path of Python $1, such as 3.12: from PATH, or one of pyenv's that is not on it.
for candidate in "python$1" "$(pyenv root 2> /dev/null)/versions/$1".*/bin/python; do
    "$candidate" -c 'import sys; print(sys.executable)' 2> /dev/null && exit
done
echo "Python $1 is needed here, and neither PATH nor pyenv has it. Install it, such as by 'pyenv install $1'." >&2
exit 1
