# What scripts/test, scripts/instructions, scripts/chaos and scripts/agents share: installing tools into .cache, and system packages where they are missing.
# To be sourced from the root of the repository.
# shellcheck shell=bash

: "${root:?the script that sources this sets it}"
export PYTHONDONTWRITEBYTECODE=1
cache=$root/.cache
venv=$cache/venv

say() { printf '\n==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Each argument is COMMAND:PACKAGE; the packages whose commands are missing are installed.
need_packages() {
  local missing=() pair
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  if [ ${#missing[@]} -gt 0 ]; then install_packages "${missing[@]}"; fi
}

# The server of the shared store's tests: Valkey where it is there, otherwise Debian's Redis.
need_store() { command -v valkey-server >/dev/null || need_packages redis-server:redis-server; }

install_packages() {
  command -v apt-get >/dev/null || die "these packages are missing, and this is not Debian or Ubuntu: $*"
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    { command -v sudo && sudo -n true; } >/dev/null 2>&1 || die "run this first: sudo apt-get install $*"
    as_root=(sudo -n)
  fi
  say "installing $*"
  "${as_root[@]}" apt-get -qq update </dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" </dev/null
}

# Whether a directory was filled from just these inputs; `mark` says that it now is.
is_fresh() { [ "$(cat "$1/.filled-from" 2>/dev/null)" = "$2" ]; }
mark() { printf '%s\n' "$2" >"$1/.filled-from"; }

# Debian ships Python's venv without ensurepip, in a package of its own.
install_python() {
  need_packages python3:python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
  local inputs
  inputs="$(python3 --version) $(sha256sum <tests/clients/requirements.txt)"
  if is_fresh "$venv" "$inputs"; then return; fi
  say "installing boto3, AWS CLI, anthropic, LangChain and pytest into .cache/venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/requirements.txt </dev/null
  mark "$venv" "$inputs"
}

# The AWS SDK for JavaScript asks for Node.js 20. Where the system's is older, a newer one goes into .cache.
install_node() {
  need_packages node:nodejs npm:npm
  local own=$cache/node
  if [ -x "$own/node_modules/node/bin/node" ]; then
    PATH=$own/node_modules/node/bin:$PATH
  elif [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
    say "Node.js $(node --version) is too old for the AWS SDK for JavaScript; installing version 22 into .cache/node"
    npm install --prefix "$own" --no-audit --no-fund --no-save --loglevel=error node@22 </dev/null
    # Where npm does not run install scripts, the launcher is missing; the program itself is in the platform's package.
    PATH=$(dirname "$(find "$own/node_modules" -path '*bin/node' -type f -size +1M | head -n 1)"):$PATH
    [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || die "install Node.js 20 or newer, then run this again"
  fi
  export PATH
}

install_javascript() {
  local js=$root/tests/clients/js inputs
  inputs="$(node --version) $(sha256sum <"$js/package-lock.json")"
  if is_fresh "$js/node_modules" "$inputs"; then return; fi
  say "installing the AWS SDK for JavaScript"
  npm ci --prefix "$js" --no-audit --no-fund --loglevel=error </dev/null
  mark "$js/node_modules" "$inputs"
}

target_directory() {
  cargo metadata --locked --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])'
}
