#!/usr/bin/env bash
# Unpacks packages of Debian's into a folder: nothing is installed, and nobody has to be root.
#   unpack.sh FOLDER PACKAGE...     the folder by its whole path; what went wrong is the last line that is said
set -euo pipefail
folder=$1
shift
mkdir -p "$folder"
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
cd "$fetched"
apt-get download "$@" || { apt-get update && apt-get download "$@"; }
for package in *.deb; do dpkg -x "$package" "$folder"; done
