#!/usr/bin/env bash
# Sets up a virtual environment unless one is active, and runs the program, a broker or the tests.
#
#   ./run_local.sh                  the main job, on the bundled synthetic sample
#   ./run_local.sh --input u.data   the main job, with any of its flags
#   ./run_local.sh kafka            a Kafka broker at localhost:9092, until Ctrl-C
#   ./run_local.sh flink            Kafka, a Flink cluster, the job and a producer, until Ctrl-C
#   ./run_local.sh test [ARG ...]   linters, types and all tests; ARGs go to pytest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# provide CHECK WHAT PACKAGES: has apt install Debian's PACKAGES unless the command CHECK succeeds.
provide() {
  local check="$1" what="$2" packages="$3"
  if eval "$check" >/dev/null 2>&1; then return; fi
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    fail "$what is missing: install it, or run this as root on Debian (packages: $packages)"
  fi
  say "installing $what"
  if [ -z "${apt_is_updated:-}" ]; then apt-get update -qq; fi
  apt_is_updated=yes
  # shellcheck disable=SC2086 # several packages
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    $packages >/dev/null || fail "apt-get cannot install $packages"
  eval "$check" >/dev/null 2>&1 || fail "$what is still missing, although $packages is installed"
}

# What fetches and runs the jars of Kafka and Flink, and compiles what is ours of them.
provide_java() {
  provide "command -v java && command -v javac" "a JDK, 17 or later," default-jdk-headless
  provide "command -v mvn" Maven maven
}

# Tests of certificates run the commands that our errors advise.
provide_openssl() {
  provide "command -v openssl" OpenSSL openssl
}

# The tests of the pages look at them in a real browser.
provide_chromium() {
  provide "command -v chromium && command -v chromedriver" "chromium with its driver" \
    "chromium chromium-driver fonts-dejavu-core"
}

# install EXTRA: the project and its dependencies into the environment, if setup.py is new to it.
install() {
  if [ -z "${VIRTUAL_ENV:-}" ]; then
    if [ ! -x .venv/bin/python ]; then
      # Debian has the part that makes environments in a package of its own.
      provide "python3 -c 'import ensurepip, venv'" "CPython 3.11 or later, with venv," \
        "python3 python3-venv"
      say "making .venv"
      python3 -m venv .venv
    fi
    # shellcheck disable=SC1091
    source .venv/bin/activate
  fi
  python -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$(python --version) is too old: CPython 3.11 or later is needed"
  local stamp
  stamp="$VIRTUAL_ENV/.flurs-beam-$1-$(cksum <setup.py | cut -d' ' -f1)"
  [ -e "$stamp" ] && return
  say "installing (a minute or so the first time)"
  python -m pip install --quiet --disable-pip-version-check --editable "${2:-.}"
  touch "$stamp"
}

# Beam downloads its Prism runner where it can; where Go is, the same version is built.
build_prism() {
  command -v go >/dev/null || return 0
  local version bin
  version="$(python -c 'import apache_beam; print(apache_beam.__version__)')"
  bin="$PWD/.cache/prism-$version"
  if [ ! -x "$bin/prism" ]; then
    say "building Prism $version"
    GOBIN="$bin" go install "github.com/apache/beam/sdks/v2/go/cmd/prism@v$version"
  fi
}

case "${1:-}" in
  test)
    shift
    provide_java
    provide_chromium
    provide_openssl
    install test '.[test]'
    build_prism
    python -m ruff check .
    python -m ruff format --check .
    python -m mypy
    lint-imports
    # A file's tests share fixtures, such as brokers; more processes would want more memory.
    exec python -m pytest -n auto --maxprocesses 4 --dist loadfile "$@"
    ;;
  kafka)
    shift
    provide_java
    install run '.[librdkafka]'
    exec python -m cluster.broker "$@"
    ;;
  flink)
    shift
    provide_java
    install run '.[librdkafka]'
    exec python -m cluster.demo "$@"
    ;;
  "" | -*)
    install run '.[librdkafka]'
    exec python -m beam_pipeline --runner DirectRunner "$@"
    ;;
  *) fail "unknown command $1: expected nothing, kafka, flink, test, or flags of beam_pipeline" ;;
esac
