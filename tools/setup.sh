#!/usr/bin/env bash
# Installs what the build needs: Debian packages (tools/packages.txt) and a .venv with the pinned wheels. With another list
# of packages (tools/packages-browser.txt) those alone, but for commands that are there already from elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."

list=${1:-tools/packages.txt}
missing=()
while read -r package; do
  if (($#)) && command -v "$package" >/dev/null; then continue; fi
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done < "$list"

if ((${#missing[@]})); then
  line="apt-get install -y --no-install-recommends ${missing[*]}"
  if [[ $(id -u) == 0 ]]; then
    apt-get update -q && DEBIAN_FRONTEND=noninteractive $line
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo apt-get update -q && sudo DEBIAN_FRONTEND=noninteractive $line
  else
    printf 'Packages are missing. Install them, then run make again:\n\n  sudo %s\n\n' "$line" >&2
    exit 1
  fi
fi

if (($#)); then exit; fi

python=${PYTHON:-python3}
if [[ ! -x .venv/bin/python ]]; then
  "$python" -m venv .venv || { rm -rf .venv; exit 1; }
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
