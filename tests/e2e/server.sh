# Sourced by the end-to-end checks: a server of the built program in the current folder, and
# the example in it.

server=

fail() { echo "FAILED: $*" >&2; exit 1; }
json() { python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }

# start_server PROGRAM [OPTION…]: on a free port and the database of this folder; sets `server`,
# `base`.
start_server() {
    "$1" serve --listen 127.0.0.1:0 "${@:2}" >stdout 2>stderr &
    server=$!
    for _ in $(seq 100); do grep -q '^listening on ' stdout && break; sleep 0.1; done
    base=$(sed -n 's/^listening on //p' stdout)
    [ -n "$base" ] || { cat stderr >&2; fail "no first line"; }
}

# stop_server: SIGTERM, and it must end in good order.
stop_server() {
    kill -TERM "$server"
    wait "$server" || fail "exit status $?"
    server=
}

# load_registries EXAMPLES: the lists that are registered before data flows.
load_registries() {
    for list in consortia participants laboratories devices hba1c-methods activity-recording-times; do
        curl -sS --fail-with-body -o answer.json -X PUT -H 'Content-Type: application/json' \
            --data-binary @"$1/registries/$list.json" "$base/exchange/registries/$list"
    done
}

# submit FILE ANSWER: sends a submission, prints the status.
submit() {
    curl -sS -o "$2" -w '%{http_code}' -H 'Content-Type: application/json' \
        --data-binary @"$1" "$base/exchange/submissions"
}
