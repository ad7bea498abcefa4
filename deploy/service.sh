#!/bin/sh
# Installs the notifier as a systemd service: the unit, its user, and its files in
# /etc/scooters-notifier; those that only you can fill in are empty. Run it again after moving the
# checkout: it rewrites the unit and leaves your files alone.
#
# With SHARD=name it installs the template unit scooters-notifier@ instead, which is the same unit but
# for its environment, and the environment of that shard: /etc/scooters-notifier/name/environment.
#
# With DESTDIR=folder it only puts the files below that folder.

set -eu

root=$(dirname "$(dirname "$(readlink -f "$0")")")
user=scooters_notifier
shard=${SHARD:-}
destdir=${DESTDIR:-}
units=$destdir/etc/systemd/system
settings=$destdir/etc/scooters-notifier

unit=scooters-notifier${shard:+@}

fail() {
    echo "make service: $1" >&2
    exit 1
}

check() {
    [ "$(id -u)" -eq 0 ] || fail 'only root can install a service'
    for path in "$root" "$(readlink -f "$root/.venv/bin/python")"; do
        case $path in
        /home/* | /root/* | /run/user/* | /tmp/* | /var/tmp/*)
            fail "the service cannot read $path: move it, for example to /opt"
            ;;
        esac
    done
}

make_user() {
    getent passwd "$user" >/dev/null ||
        useradd --system --user-group --no-create-home --home-dir /nonexistent \
            --shell /usr/sbin/nologin "$user"
}

# The unit, or the template unit, for this checkout.
unit_text() {
    template=
    [ -z "$shard" ] || template='s|^\(EnvironmentFile=.*\)/environment$|\1/%i/environment|
        s|^Description=.*|& (%i)|
        s|scooters-notifier`|scooters-notifier@NAME`|'
    sed "s|/opt/scooters-ops|$root|
        $template" "$root/deploy/scooters-notifier.service"
}

# make_file NAME [SOURCE]: unless it exists; only its owner may read it.
make_file() {
    [ -e "$settings/$1" ] || install -m 600 "${2:-/dev/null}" "$settings/$1"
}

case $shard in
*[!a-zA-Z0-9_-]*) fail "SHARD=$shard: use letters, digits, _ and - only" ;;
esac
if [ -z "$destdir" ]; then
    check
    make_user
fi
install -d "$units" "$settings" "$settings/$shard"
unit_text >"$units/$unit.service"
make_file "${shard:+$shard/}environment" "$root/deploy/environment"
make_file pgpass
for secret in $(sed -n 's/^LoadCredential=\([^:]*\):.*/\1/p' "$root/deploy/scooters-notifier.service"); do
    make_file "$secret"
done
if [ -z "$destdir" ]; then
    chown "$user:" "$settings/pgpass" # the service reads this file itself; systemd reads the others as root
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
fi
echo "Installed. Fill in the files in $settings, then: systemctl enable --now $unit$shard"
