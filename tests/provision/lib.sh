# Shared by the scripts beside it; sourced, not run. Nothing here names a mirror: apt, npm and cargo are used as the machine has them set up.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidemill
servers=${TIDEMILL_SERVERS:-$root/target/servers}
mkdir -p "$cache" "$servers"

die() { echo "$*" >&2; exit 1; }

# One provisioning of a part at a time, whoever else asks for it: locked NAME COMMAND...
locked() {
  local name=$1; shift
  mkdir -p "$cache/locks"
  ( flock 9; "$@" ) 9>"$cache/locks/$name"
}

# A free TCP port on loopback.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Debian packages by name, if a command is missing: need COMMAND PACKAGE...
need() {
  local command=$1; shift
  command -v "$command" >/dev/null || locked apt install_packages "$@"
}

install_packages() {
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# Whether a process lives: one that is dead and not yet buried by its parent doesn't.
alive() { [ -n "$1" ] && [ "$(sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null || echo Z)" != Z ]; }

# Ends the process of a pid file and waits for its end: end_process PIDFILE
end_process() {
  local pid
  [ -s "$1" ] || return 0
  pid=$(cat "$1")
  # The number of a server that crashed may be another process's by now.
  grep -qaF "${1%/*}/" "/proc/$pid/cmdline" 2>/dev/null || { rm -f "$1"; return 0; }
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 300); do
    alive "$pid" || { rm -f "$1"; return 0; }
    sleep 0.1
  done
  die "process $pid of $1 does not end"
}

# A CA and a server certificate for loopback, so that verify_ca and verify_identity can be tried: certificates FOLDER
certificates() {
  need openssl openssl
  [ -s "$1/server-cert.pem" ] && return 0
  mkdir -p "$1"
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Tidemill test CA" \
    -addext "basicConstraints=critical,CA:TRUE" -keyout "$1/ca-key.pem" -out "$1/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout "$1/server-key.pem" -out "$1/server.csr" 2>/dev/null
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >"$1/server.ext"
  openssl x509 -req -in "$1/server.csr" -CA "$1/ca.pem" -CAkey "$1/ca-key.pem" -CAcreateserial -days 3650 \
    -extfile "$1/server.ext" -out "$1/server-cert.pem" 2>/dev/null
}

# Waits until a server answers; else its log's last lines: await_server LOG COMMAND...
await_server() {
  local log=$1; shift
  for _ in $(seq 300); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.2
  done
  tail -n 20 "$log" >&2
  die "the server does not answer; the end of $log stands above"
}
