#!/bin/sh
# Print the path of the first version of Python, such as 3.13 3.12, that is on PATH, in pyenv or in uv; otherwise let uv
# download the first one. A Python without ensurepip, which Debian packages separately, cannot create an environment.
managed() { uv python find --managed-python "$1" 2> /dev/null; }
for version; do
    for candidate in "python$version" "$(pyenv root 2> /dev/null)/versions/$version".*/bin/python "$(managed "$version")"; do
        "$candidate" -c 'import ensurepip, sys; print(sys.executable)' 2> /dev/null && exit
    done
done
UV_HTTP_RETRIES=0 uv python install --quiet "$1" 2> /dev/null && managed "$1" && exit
echo "Install Python $(echo "$*" | sed 's/ / or /g') with its module venv ('apt install python3-venv'), or uv, which downloads one." >&2
exit 1
