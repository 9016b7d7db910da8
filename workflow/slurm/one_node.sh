#!/usr/bin/env bash
# Slurm on this machine alone, for `make test-slurm`: one_node.sh up | down. Needs root on Debian or
# Ubuntu; installs slurmctld, slurmd, slurm-client, munge and procps where they are missing. Neither
# systemd nor cgroups are needed, so that it runs in a container. `up` writes /etc/slurm/slurm.conf and
# refuses to where somebody else's stands there; `down` stops what `up` started and removes the file.
set -euo pipefail

CONF=/etc/slurm/slurm.conf
MARK="# one_node.sh of bet: a test node"
STATE=/var/tmp/bet-slurm
PACKAGES=(slurmctld slurmd slurm-client munge procps)

fail() { echo "one_node.sh: $*" >&2; exit 1; }

install_packages() {
    dpkg -s "${PACKAGES[@]}" >/dev/null 2>&1 && return
    command -v apt-get >/dev/null || fail "needs Debian or Ubuntu, for apt-get install ${PACKAGES[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${PACKAGES[@]}" >/dev/null
}

configure() {
    local node cpus memory
    node=$(hostname -s) cpus=$(getconf _NPROCESSORS_ONLN)
    memory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
    # Slurm resolves the node's name, which a container may not know.
    getent hosts "$node" >/dev/null || echo "127.0.0.1 $node" >>/etc/hosts
    mkdir -p "$(dirname $CONF)" $STATE/{state,spool,log}
    cat >$CONF <<END
$MARK
ClusterName=bet
SlurmctldHost=$node
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$STATE/state
SlurmdSpoolDir=$STATE/spool
SlurmctldLogFile=$STATE/log/slurmctld.log
SlurmdLogFile=$STATE/log/slurmd.log
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# Without accounting, squeue must remember what has ended.
MinJobAge=3600
ReturnToService=2
NodeName=$node CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=test Nodes=$node Default=YES MaxTime=INFINITE State=UP
END
}

up() {
    [ "$(id -u)" = 0 ] || fail "needs root"
    if [ -e $CONF ] && ! grep -qF "$MARK" $CONF; then
        fail "$CONF is not ours; this test does not touch a Slurm that is in use"
    fi
    install_packages
    down
    configure
    mkdir -p /run/munge && chown munge: /run/munge
    pgrep -x munged >/dev/null || setpriv --reuid=munge --regid=munge --clear-groups munged --force
    slurmctld
    slurmd -N "$(hostname -s)"
    for _ in $(seq 60); do
        [ "$(sinfo -h -o %t 2>/dev/null)" = idle ] && { echo "Slurm runs on $(hostname -s)"; return; }
        sleep 1
    done
    tail -n 20 $STATE/log/*.log >&2
    fail "the node did not become idle; its logs are above"
}

down() {
    grep -qF "$MARK" $CONF 2>/dev/null || return 0
    scancel --state=RUNNING,PENDING --user=root 2>/dev/null || true
    for daemon in slurmd slurmctld; do
        [ -e $STATE/$daemon.pid ] && kill "$(cat $STATE/$daemon.pid)" 2>/dev/null || true
        for _ in $(seq 30); do pgrep -x $daemon >/dev/null || break; sleep 1; done
    done
    rm -rf $STATE $CONF
}

case ${1-} in
up) up ;;
down) down ;;
*) fail "one_node.sh up | down" ;;
esac
