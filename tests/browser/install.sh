#!/bin/sh
# Install Chromium and its driver for tests/browser where that needs no question: on Debian and
# Ubuntu, as root, as in a container. Elsewhere the tests that need a browser are skipped and say so.
command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "Installing Chromium for the tests of the pages ..."
	{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
		chromium chromium-driver; } >/dev/null 2>&1 && exit 0
fi
echo "Chromium and chromedriver are not here and cannot be installed: tests/browser will be skipped."
