# What scripts of the tests need from elsewhere, installed when it is missing. Sourced; `tools` names the directory for it.

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# have_debian COMMAND PACKAGE: installs the package when the command is missing.
have_debian() {
  command -v "$1" >/dev/null && return
  as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"
}

# have_python MODULES PACKAGES: installs the packages when one of the modules is missing.
have_python() {
  [ -x "$tools/venv/bin/python" ] || python3 -m venv "$tools/venv" || return
  "$tools/venv/bin/python" -c "import $1" 2>/dev/null && return
  # shellcheck disable=SC2086 # several packages
  "$tools/venv/bin/python" -m pip install --quiet $2
}

have_python_client() {
  have_python 'grpc, grpc_tools, grpc_health, grpc_reflection, grpc_status' \
    'grpcio grpcio-tools grpcio-health-checking grpcio-reflection grpcio-status'
}
