#!/bin/sh
# A person's own systemd in name spaces of its own, on a machine that systemd need not have booted.
#
#   box.sh outer DIR NAME PROGRAM UID    starts one, as root; what is in it ends with this process
#   box.sh try DIR NAME - -              tells whether there could be one
#   box.sh down DIR NAME - -             removes what is left of it
#
# DIR/home becomes /srv/gwasp, PROGRAM its .local/bin/gwasp; NAME is that of a cgroup.
set -eu
act=$1 dir=$2 name=$3 program=$4 uid=$5

case $act in
outer)
    # In a mount name space of its own: the machine may have no cgroup2 where it is looked for.
    mount --make-rprivate /
    mount -t cgroup2 none "$dir/cgroup"
    mkdir "$dir/cgroup/$name"
    echo 0 > "$dir/cgroup/$name/cgroup.procs"
    exec unshare --mount --pid --fork --mount-proc --kill-child=SIGKILL --cgroup --uts --ipc \
        /bin/sh "$0" inner "$dir" "$name" "$program" "$uid"
    ;;
inner)
    mount --make-rprivate /
    umount --lazy --recursive /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs /srv
    mkdir /srv/gwasp
    mount --bind "$dir/home" /srv/gwasp
    mkdir -p /srv/gwasp/.local/bin
    touch /srv/gwasp/.local/bin/gwasp
    mount --bind "$program" /srv/gwasp/.local/bin/gwasp
    # PrivateTmp= leaves its folders behind where a box ends without a warning.
    mount -t tmpfs -o mode=1777 tmpfs /tmp
    mount -t tmpfs -o mode=1777 tmpfs /var/tmp
    mount -t tmpfs -o mode=755 tmpfs /run
    # systemd goes where /run/systemd/system is; units with PrivateUsers= need the next two.
    mkdir -p /run/systemd/system /run/systemd/unit-root /run/systemd/inaccessible
    # LoadCredential= of units with a name space of their own needs the first.
    mkdir -p /run/credentials /run/systemd/journal /run/systemd/journald.conf.d /run/log/journal
    mkdir -p "/run/user/$uid" /sys/fs/cgroup/user
    chmod 700 "/run/user/$uid"
    chown -R "$uid:$uid" /srv/gwasp "/run/user/$uid" /sys/fs/cgroup/user
    # The kernel's log is that of the machine.
    printf '[Journal]\nReadKMsg=no\nStorage=volatile\nRateLimitBurst=0\n' \
        > /run/systemd/journald.conf.d/box.conf
    /lib/systemd/systemd-journald &
    echo 0 > /sys/fs/cgroup/user/cgroup.procs
    setpriv --reuid "$uid" --regid "$uid" --clear-groups \
        env -i HOME=/srv/gwasp USER=gwasp LOGNAME=gwasp SHELL=/bin/sh \
        PATH=/usr/local/bin:/usr/bin:/bin XDG_RUNTIME_DIR="/run/user/$uid" \
        SYSTEMD_LOG_TARGET=journal /lib/systemd/systemd --user &
    wait
    ;;
try)
    mount --make-rprivate /
    mount -t cgroup2 none "$dir/cgroup"
    mkdir "$dir/cgroup/$name"
    rmdir "$dir/cgroup/$name"
    ;;
down)
    mount --make-rprivate /
    mount -t cgroup2 none "$dir/cgroup"
    find "$dir/cgroup/$name" -depth -type d -exec rmdir {} +
    ;;
esac
