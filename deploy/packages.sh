#!/bin/sh
# Installs the system packages that are missing (Debian 12 and 13; Ubuntu has the same names).
#
#   packages.sh client     for the notifier and psql: Python 3.11+ with venv, PostgreSQL's client
#   packages.sh sandbox    also for the demo and lint: a PostgreSQL server, pg_cron, plpgsql_check
#   packages.sh tests      also for the tests: PL/Proxy, a browser, promtool, systemd-analyze, a
#                          connection pooler, curl
#
# If nothing is missing, it prints nothing. It runs apt-get as root or with sudo; without either, it
# prints the command to run and exits with 1. It starts no service, and enables none for the next
# boot: the sandbox and the tests start their own servers.

set -eu

kind=${1:?usage: packages.sh client|sandbox|tests}
python=${PYTHON:-python3}
versions='18 17 16 15' # as in sandbox/postgres.py

has_python() {
    # root may run this, so -P (new in 3.11) keeps it from importing modules of the current folder.
    "$python" -P -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# The newest version that is installed with both extensions.
installed_server() {
    for version in $versions; do
        home=/usr/lib/postgresql/$version
        if [ -x "$home/bin/initdb" ] && [ -x "$home/bin/postgres" ] &&
            [ -e "$home/lib/pg_cron.so" ] && [ -e "$home/lib/plpgsql_check.so" ]; then
            echo "$version"
            return 0
        fi
    done
    return 1
}

missing() {
    has_python || printf '%s ' python3 python3-venv
    [ -e /etc/ssl/certs/ca-certificates.crt ] || printf '%s ' ca-certificates # pip needs these
    psql --version >/dev/null 2>&1 || printf '%s ' postgresql-client
    [ "$kind" != client ] || return 0
    server=$(installed_server) || {
        server=$(newest_server)
        server_packages "$server"
    }
    [ "$kind" != sandbox ] || return 0
    [ -e "/usr/lib/postgresql/$server/lib/plproxy.so" ] || printf 'postgresql-%s-plproxy ' "$server"
    # On Ubuntu Chromium is only a snap.
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

# The newest PostgreSQL that apt offers with both extensions. Without package lists: that of the
# distribution.
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

case ${python##*/} in
python3) ;; # apt may install it
*)
    if ! has_python; then
        echo "PYTHON=$python is not Python 3.11 or newer with venv" >&2
        exit 1
    fi
    ;;
esac

packages=$(missing)
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "Missing: $packages. This is not Debian or Ubuntu: install your system's equivalents." >&2
    exit 1
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root=sudo
elif [ -t 0 ] && command -v sudo >/dev/null && echo "Missing system packages: $packages" && sudo true; then
    as_root=sudo
else
    cat >&2 <<END
These system packages are missing, and only root can install them:
    apt-get update && apt-get install --no-install-recommends $packages
(\`sh deploy/packages.sh $kind\` as root does the same, and starts no service.)
END
    exit 1
fi

log=$(mktemp "${TMPDIR:-/tmp}/packages.XXXXXX")
no_cluster=/etc/postgresql-common/createcluster.d/scooters-sandbox.conf
policy=/usr/sbin/policy-rc.d # packages ask it before they start a service; 101 means no
policy_made=

tidy() {
    status=$?
    [ -z "$policy_made" ] || $as_root rm -f "$policy"
    $as_root rm -f "$no_cluster"
    $as_root rmdir -p --ignore-fail-on-non-empty "${no_cluster%/*}" 2>/dev/null || true
    if [ "$status" -eq 0 ]; then
        rm -f "$log"
    else
        echo "Could not install the packages. The end of $log:" >&2
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
    for service in prometheus pgbouncer; do # only their programs are needed
        case " $packages" in
        *" $service "*)
            echo "Disabling the service $service; systemctl enable $service enables it again"
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

# Without this, a PostgreSQL server's package creates a cluster "main".
$as_root mkdir -p "${no_cluster%/*}"
echo 'create_main_cluster = false' | $as_root tee "$no_cluster" >/dev/null

# If the package lists are missing or old, fetch them and try again.
if ! is_offered || ! install_packages; then
    echo 'Fetching the package lists (apt-get update)'
    apt_get update
    packages=$(missing)
    install_packages
fi

packages=$(missing)
if [ -n "$packages" ]; then
    {
        echo "Still missing after the installation: $packages"
        has_python || echo "$python is not Python 3.11 or newer with venv; PYTHON=... selects another"
    } >>"$log"
    exit 1
fi
