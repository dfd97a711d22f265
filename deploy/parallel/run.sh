#!/usr/bin/env bash
# usage: [JOBS=n] run.sh PLAN [shard | sweep]
set -euo pipefail
plan=${1:?usage: run.sh PLAN [shard | sweep]}
what=${2:-shard}
program=${DIFFREWARD:-diffreward}
missing() {
  local status
  status=$("$program" "$what" status "$plan" --json) || return
  python3 -c '
import json, sys
for part in filter(None, json.load(sys.stdin)["missing_index"].removesuffix(",...").split(",")):
    first, _, last = part.partition("-")
    print(*range(int(first), int(last or first) + 1), sep="\n")' <<< "$status"
}
# More shards are missing than one status names where they lie far apart: until none is.
# A status that fails ends it: bash looks at no exit code in a loop's condition.
while true; do
  indices=$(missing) || exit 1
  [[ -n $indices ]] || break
  parallel --will-cite --jobs "${JOBS:-100%}" --retries 3 --joblog "${plan%/}.log" \
    "$program" "$what" run "$plan" --index {} --threads 1 --quiet <<< "$indices"
done
