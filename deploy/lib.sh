# Shared by quickstart and test: installs what is missing, once; read with `source`, from the project's root.
# shellcheck shell=bash

VENV=.venv
STAMP=$VENV/.sifzone-installed

say() { printf '%s\n' "• $*"; }

die() {
  printf '%s\n' "✗ $*" >&2
  exit 1
}

# find_python: print a Python of 3.11 or later.
find_python() {
  local name
  for name in python3 python3.11 python3.12 python3.13 python3.14; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
      command -v "$name"
      return
    fi
  done
  die "Python 3.11 or later is needed: install it (on Debian 12 or Ubuntu 24.04: apt-get install python3), then run this again"
}

# one_exists FILE...: whether any of the files (patterns that matched nothing stay as they are) can be run.
one_exists() {
  local file
  for file; do [ -x "$file" ] && return; done
  return 1
}

have_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
have_rabbitmq() {
  local path=$PATH:/usr/local/sbin:/usr/sbin:/sbin
  PATH=$path command -v erl >/dev/null &&
    { one_exists /usr/lib/rabbitmq/bin/rabbitmq-server || PATH=$path command -v rabbitmq-server >/dev/null; }
}
have_xmllint() { command -v xmllint >/dev/null; }
# what drives the browser in tests brings a Node.js of its own, which needs libatomic
have_chromium() { command -v chromium >/dev/null && PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -q 'libatomic\.so\.1'; }
have_postgresql() { one_exists /usr/lib/postgresql/*/bin/initdb || command -v initdb >/dev/null; }

# install_packages NAME...: install Debian packages without starting, now or at the next boot, the services in them.
install_packages() {
  local -a as_root=()
  local command="apt-get update && apt-get install -y --no-install-recommends $*"
  command -v apt-get >/dev/null || die "missing on this machine: $*. Install them with its package manager, then run this again"
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || die "missing on this machine: $*. Run as root, then run this again:
    $command"
    as_root=(sudo -n)
  fi
  say "installing system packages: $*"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive bash -s -- "$@" <<'AS_ROOT'
set -euo pipefail
units=/lib/systemd/system
new_units=()
for unit in epmd.socket epmd.service rabbitmq-server.service postgresql.service; do
  [ -e "$units/$unit" ] || new_units+=("$unit")
done
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then # Debian starts a service when it is installed, unless this says no
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "✗ apt-get failed: mend what it says above, then run this again (all of its output: $log)" >&2
  exit 1
fi
rm -f "$log"
for unit in "${new_units[@]}"; do # what was here before, somebody may use
  if [ -e "$units/$unit" ] && command -v systemctl >/dev/null; then systemctl disable --quiet "$unit" || true; fi
done
AS_ROOT
}

# fingerprint PYTHON: print what an installation depends on; another value means: install again.
fingerprint() {
  {
    cat setup.cfg pyproject.toml deploy/constraints.txt
    pwd
    readlink -f "$1"
  } | sha256sum | cut -d' ' -f1
}

# is_installed FINGERPRINT EXTRAS: whether .venv holds these extras of this very project; "test" holds all of "none".
is_installed() {
  [ -x "$VENV/bin/python" ] && [ -f "$STAMP" ] && grep -qxE "$1 ($2|test)" "$STAMP"
}

# install_project PYTHON EXTRAS: make .venv and install the project into it, editable; EXTRAS is "none" or "test".
install_project() {
  local now target=. log=$VENV/install.log
  now=$(fingerprint "$1")
  if is_installed "$now" "$2"; then return; fi
  [ "$2" = none ] || target=".[$2]"
  if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    say "making $VENV"
    "$1" -m venv --clear "$VENV"
  fi
  say "installing Python packages into $VENV (a minute or two, once)"
  rm -f "$STAMP"
  if ! "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input \
    --constraint deploy/constraints.txt --editable "$target" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "pip failed: mend what it says above, then run this again (all of its output: $log)"
  fi
  echo "$now $2" >"$STAMP"
}

# set_up none|test: all that quickstart (none) or test needs; nothing to do, and no network, the second time.
set_up() {
  local python
  local -a missing=()
  python=$(find_python)
  have_venv "$python" || missing+=(python3-venv)
  have_rabbitmq || missing+=(rabbitmq-server)
  if [ "$1" = test ]; then
    have_postgresql || missing+=(postgresql)
    have_xmllint || missing+=(libxml2-utils)
    have_chromium || missing+=(chromium fonts-liberation libatomic1) # fonts-liberation stands in for Arial
  fi
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
  install_project "$python" "$1"
}
