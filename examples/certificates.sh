#!/bin/sh
# Make an authority, a certificate for the daemon and one for a client.  certificates.sh DIR DAEMON-HOST [DAEMON-ADDRESS]
set -eu
host=$2 address=${3:-127.0.0.1}
umask 077; mkdir -p "$1"; cd "$1"
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $key -keyout ca.key -out ca.pem -days 3650 -subj "/CN=glauber authority"
issue() {  # NAME EXTENSION
    openssl req $key -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
    printf 'basicConstraints=CA:FALSE\n%s\n' "$2" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -extfile "$1.ext" -out "$1.pem"
    rm "$1.csr" "$1.ext"
}
issue server "subjectAltName=DNS:$host,DNS:localhost,IP:$address,IP:127.0.0.1"
issue client "extendedKeyUsage=clientAuth"
printf 'rig-1:%s\n' "$(openssl rand -hex 32)" > tokens
