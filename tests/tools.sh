# What scripts of the tests need from elsewhere, installed when it is missing. Sourced; `tools` names the directory for it,
# `scratch` one that is gone at the end.

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

# go_client BINARY: builds the Go client with what Debian ships, which is old and enough: no module is fetched. Its
# stubs are made as its first lines say, with the protoc that grpcio-tools brings along.
go_client() {
  local gopath=$scratch/gopath package=example.com/argospool-lease messages=argospool/v1
  local here=$gopath/src/$package stubs options
  stubs=$package/argospool
  options=M$messages/liveform.proto=$stubs,M$messages/token_pool.proto=$stubs,module=$package
  mkdir -p "$here" && cp deploy/clients/go/lease.go "$here" || return
  "$tools/venv/bin/python" -m grpc_tools.protoc -Iproto --go_out="$options:$here" --go-grpc_out="$options:$here" \
    proto/$messages/liveform.proto proto/$messages/token_pool.proto || return
  [ -z "$(gofmt -l deploy/clients/go)" ] || { gofmt -d deploy/clients/go; return 1; }
  # One after the other: whoever measures on this machine shall not notice.
  (cd "$here" && export GO111MODULE=off GOPATH=$gopath:/usr/share/gocode GOCACHE=$tools/go-cache GOFLAGS=-p=1 &&
    go vet . && go build -o "$1" .)
}
