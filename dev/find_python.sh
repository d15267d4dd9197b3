#!/bin/sh
# Print the path of a Python of the given versions, such as 3.13 3.12, the first that is found: on PATH, in pyenv, in uv.
# Otherwise let uv download the first version. Debian packages ensurepip apart; without it, venv makes no environment.
managed() { uv python find --managed-python "$1" 2> /dev/null; }
for version; do
    for candidate in "python$version" "$(pyenv root 2> /dev/null)/versions/$version".*/bin/python "$(managed "$version")"; do
        "$candidate" -c 'import ensurepip, sys; print(sys.executable)' 2> /dev/null && exit
    done
done
UV_HTTP_RETRIES=0 uv python install --quiet "$1" 2> /dev/null && managed "$1" && exit
echo "Install Python $(echo "$*" | sed 's/ / or /g') with its module venv ('apt install python3-venv'), or uv, which downloads one." >&2
exit 1
