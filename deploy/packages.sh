#!/bin/sh
# Makes sure that the system packages are there (Debian 12 and 13; Ubuntu has the same names).
#
#   packages.sh client     what the notifier and psql need: Python 3.11+ with venv, PostgreSQL's client
#   packages.sh sandbox    that, and a PostgreSQL server with pg_cron and plpgsql_check: demo, lint
#   packages.sh tests      that, and the programs that the tests call: a browser, promtool,
#                          systemd-analyze, a connection pooler, curl
#
# Where nothing is missing it installs nothing and says nothing. Otherwise apt-get installs it, as root
# or by sudo; where neither is to be had, it names the command and exits 1. No service that it installs
# is started, now or at the next boot: the sandbox and the tests start their own.

set -eu

kind=${1:?usage: packages.sh client|sandbox|tests}
python=${PYTHON:-python3}
versions='18 17 16 15' # the same as in sandbox/postgres.py

has_python() {
    # -P, which 3.11 brought: no module from the current folder, since root may run this.
    "$python" -P -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

has_server() {
    for version in $versions; do
        home=/usr/lib/postgresql/$version
        if [ -x "$home/bin/initdb" ] && [ -x "$home/bin/postgres" ] &&
            [ -e "$home/lib/pg_cron.so" ] && [ -e "$home/lib/plpgsql_check.so" ]; then
            return 0
        fi
    done
    return 1
}

missing() {
    has_python || printf '%s ' python3 python3-venv
    [ -e /etc/ssl/certs/ca-certificates.crt ] || printf '%s ' ca-certificates # pip trusts these
    psql --version >/dev/null 2>&1 || printf '%s ' postgresql-client
    [ "$kind" != client ] || return 0
    has_server || server_packages "$(newest_server)"
    [ "$kind" != sandbox ] || return 0
    # Ubuntu has Chromium as a snap only.
    [ -x /usr/bin/chromium ] || [ "$(distribution)" = ubuntu ] || printf '%s ' chromium
    [ -x /usr/bin/promtool ] || printf '%s ' prometheus
    [ -x /usr/sbin/pgbouncer ] || printf '%s ' pgbouncer
    systemd-analyze --version >/dev/null 2>&1 || printf '%s ' systemd
    curl --version >/dev/null 2>&1 || printf '%s ' curl
}

distribution() {
    (. /etc/os-release && echo "${ID:-}")
}

server_packages() {
    printf 'postgresql-%s ' "$1" "$1-cron" "$1-plpgsql-check"
}

offers_server() {
    for package in $(server_packages "$1"); do
        apt-cache show "$package" >/dev/null 2>&1 || return 1
    done
}

# The newest PostgreSQL that apt offers with both extensions; Debian's own before apt has its lists.
newest_server() {
    for version in $versions; do
        if offers_server "$version"; then
            echo "$version"
            return
        fi
    done
    case $(. /etc/os-release && echo "${ID:-}-${VERSION_ID:-}") in
    debian-12) echo 15 ;;
    *) echo 17 ;;
    esac
}

packages=$(missing)
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "Missing, and this is no Debian: install what stands for these packages: $packages" >&2
    exit 1
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root=sudo
elif [ -t 0 ] && command -v sudo >/dev/null && echo "To install: $packages" && sudo true; then
    as_root=sudo
else
    cat >&2 <<END
These system packages are missing, and only root can install them:
    apt-get update && apt-get install --no-install-recommends $packages
(\`sh deploy/packages.sh $kind\` as root does the same, and leaves no service running.)
END
    exit 1
fi

log=$(mktemp "${TMPDIR:-/tmp}/packages.XXXXXX")
no_cluster=/etc/postgresql-common/createcluster.d/scooters-sandbox.conf
policy=/usr/sbin/policy-rc.d # asked before a package starts its service; 101 forbids it
policy_made=

tidy() {
    status=$?
    [ -z "$policy_made" ] || $as_root rm -f "$policy"
    $as_root rm -f "$no_cluster"
    $as_root rmdir -p --ignore-fail-on-non-empty "${no_cluster%/*}" 2>/dev/null || true
    if [ "$status" -eq 0 ]; then
        rm -f "$log"
    else
        echo "The packages could not be installed. The end of $log:" >&2
        tail -n 15 "$log" >&2
    fi
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

apt_get() {
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 </dev/null
}

is_offered() {
    # shellcheck disable=SC2086 # a list of names
    apt-get -q --simulate install --no-install-recommends $packages >>"$log" 2>&1
}

install_packages() {
    echo "Installing system packages: $packages"
    # shellcheck disable=SC2086 # a list of names
    apt_get install --no-install-recommends $packages || return 1
    for service in prometheus pgbouncer; do # only their programs are wanted
        case " $packages" in
        *" $service "*)
            echo "The service $service is disabled: systemctl enable $service, if you want it"
            {
                $as_root systemctl disable "$service" || true
                $as_root update-rc.d "$service" disable || true # where there is no systemd
            } >>"$log" 2>&1
            ;;
        esac
    done
}

if ! [ -e "$policy" ]; then
    policy_made=yes
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi

# A new server's package makes a cluster "main" and starts it, unless told not to.
$as_root mkdir -p "${no_cluster%/*}"
echo 'create_main_cluster = false' | $as_root tee "$no_cluster" >/dev/null

# Lists that are absent or old: fetch them, and look again at what they offer.
if ! is_offered || ! install_packages; then
    echo 'Fetching the lists of packages (apt-get update)'
    apt_get update
    packages=$(missing)
    install_packages
fi

packages=$(missing)
if [ -n "$packages" ]; then
    {
        echo "Installed, and still missing: $packages"
        echo "(Python is $(command -v "$python"), $("$python" --version 2>&1); PYTHON=... chooses another)"
    } >>"$log"
    exit 1
fi
