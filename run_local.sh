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
need() { command -v "$1" >/dev/null || fail "$1 is missing: $2"; }

# install EXTRA: the project and its dependencies into the environment, if setup.py is new to it.
install() {
  if [ -z "${VIRTUAL_ENV:-}" ]; then
    need python3 "install CPython 3.11 or later"
    [ -x .venv/bin/python ] || { say "making .venv"; python3 -m venv .venv; }
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

# The tests of the pages look at them in a real browser.
install_chromium() {
  if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then return; fi
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    fail "chromium or chromedriver is missing: install Debian's chromium and chromium-driver"
  fi
  say "installing chromium"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    chromium chromium-driver fonts-dejavu-core >/dev/null
}

case "${1:-}" in
  test)
    shift
    need java "install a JDK, 17 or later, for the Kafka broker of the tests"
    need mvn "install Maven, for the Kafka broker's jars"
    need openssl "install OpenSSL, for the tests of certificates"
    install_chromium
    install test '.[test]'
    build_prism
    python -m ruff check .
    python -m ruff format --check .
    python -m mypy
    lint-imports
    exec python -m pytest "$@"
    ;;
  kafka)
    shift
    need java "install a JDK, 17 or later"
    need mvn "install Maven"
    install run '.[librdkafka]'
    exec python -m cluster.broker "$@"
    ;;
  flink)
    shift
    need java "install a JDK, 17 or later"
    need mvn "install Maven"
    install run '.[librdkafka]'
    exec python -m cluster.demo "$@"
    ;;
  "" | -*)
    install run '.[librdkafka]'
    exec python -m beam_pipeline --runner DirectRunner "$@"
    ;;
  *) fail "unknown command $1: expected nothing, kafka, flink, test, or flags of beam_pipeline" ;;
esac
