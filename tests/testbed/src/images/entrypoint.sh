#!/bin/sh
# Behaves like the entrypoint of the official image; USER_NAME and SERVER are filled in at build time.
set -e

# `docker run image --port 7000` and `docker run image some.conf` mean arguments of the server.
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- SERVER "$@"
fi

# As root: give the data directory to the user and become that user.
if [ "$1" = 'SERVER' ] && [ "$(id -u)" = '0' ]; then
	find . \! -user USER_NAME -exec chown USER_NAME '{}' +
	exec setpriv --reuid=USER_NAME --regid=USER_NAME --clear-groups -- "$0" "$@"
fi

# A stricter umask than the default, unless the caller chose one.
if [ "$(umask)" = '0022' ]; then
	umask 0077
fi

exec "$@"
