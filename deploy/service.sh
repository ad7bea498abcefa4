#!/bin/sh
# Installs the notifier as a service of systemd: the unit, its user, and its files in
# /etc/scooters-notifier, empty where only you know what belongs into them. Again, and after a move of
# the checkout, it writes the unit anew; your files it leaves alone.
#
# DESTDIR=folder puts the files below that folder, and does nothing else.

set -eu

root=$(dirname "$(dirname "$(readlink -f "$0")")")
user=scooters_notifier
destdir=${DESTDIR:-}
units=$destdir/etc/systemd/system
settings=$destdir/etc/scooters-notifier

fail() {
    echo "make service: $1" >&2
    exit 1
}

check() {
    [ "$(id -u)" -eq 0 ] || fail 'only root can install a service'
    for path in "$root" "$(readlink -f "$root/.venv/bin/python")"; do
        case $path in
        /home/* | /root/* | /run/user/* | /tmp/* | /var/tmp/*)
            fail "the service cannot see $path: put it elsewhere, such as /opt"
            ;;
        esac
    done
}

make_user() {
    getent passwd "$user" >/dev/null ||
        useradd --system --user-group --no-create-home --home-dir /nonexistent \
            --shell /usr/sbin/nologin "$user"
}

# make_file NAME [SOURCE]: where it is not there yet; nobody else may read it.
make_file() {
    [ -e "$settings/$1" ] || install -m 600 "${2:-/dev/null}" "$settings/$1"
}

if [ -z "$destdir" ]; then
    check
    make_user
fi
install -d "$units" "$settings"
sed "s|/opt/scooters-ops|$root|" "$root/deploy/scooters-notifier.service" \
    >"$units/scooters-notifier.service"
make_file environment "$root/deploy/environment"
make_file pgpass
for secret in $(sed -n 's/^LoadCredential=\([^:]*\):.*/\1/p' "$root/deploy/scooters-notifier.service"); do
    make_file "$secret"
done
if [ -z "$destdir" ]; then
    chown "$user:" "$settings/pgpass" # the service itself reads it, root the others
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
fi
echo "Installed. Fill in the files in $settings, then: systemctl enable --now scooters-notifier"
