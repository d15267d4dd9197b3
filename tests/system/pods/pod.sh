#!/bin/sh
# A pod without a cluster: run a command that can write only to its empty folders. Needs separate namespaces for
# mounts, processes and the hostname (`unshare --mount --pid --uts`).
#
#     pod.sh NAME DAGS SECRETS HIDDEN COMMAND...
#
# Everything is read-only. /media has the DAGs, the secrets, and the `emptyDir` volumes of Kubernetes. HIDDEN is empty.
# The command's output goes to stderr. At the end, stdout has an archive of all written files.
set -eu
name=$1 dags=$2 secrets=$3 hidden=$4
shift 4

hostname "$name"
awk '$5 !~ "^/proc" {print $5}' /proc/self/mountinfo | while read -r point; do mount -o remount,bind,ro "$point"; done
mount -t tmpfs pod /media
mkdir /media/home /media/temporary /media/airflow /media/dags /media/secrets
mount --bind "$dags" /media/dags
mount --bind "$secrets" /media/secrets
mount -t tmpfs -o ro hidden "$hidden"
mount -t tmpfs memory /dev/shm

# As with Kubernetes' `runAsUser`: a user without a name. It can read root's files, because Python may be in root's
# home, and write only to its own.
chown 50000:0 /media/home /media/temporary /media/airflow
code=0
setpriv --reuid=50000 --regid=0 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search \
    "$@" >&2 || code=$?
tar --create --one-file-system --directory=/ media dev/shm
exit "$code"
