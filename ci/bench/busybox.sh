#!/bin/busybox sh
# An initramfs as it is written by hand: busybox and veritysetup, fixed modules, fixed devices. The file fixed.sh says which.
mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
. /fixed.sh
for module in $MODULES; do
    insmod "$module"
done
# Without udev nobody makes the names that libdevmapper waits for.
DM_DISABLE_UDEV=1 veritysetup open "$ROOT" root "$HASH" "$ROOT_HASH"
mount -t erofs -o ro /dev/mapper/root /sysroot
mkdir -p /run/state
mount -t ext4 -o nosuid,nodev "$STATE" /run/state
mkdir -p /run/state/etc/upper /run/state/etc/work /run/state/var /run/state/home
mount -t overlay -o nosuid,nodev,lowerdir=/sysroot/etc,upperdir=/run/state/etc/upper,workdir=/run/state/etc/work \
    overlay /sysroot/etc
mount -o bind /run/state/var /sysroot/var
mount -o bind /run/state/home /sysroot/home
for place in dev proc sys run; do
    mount -o move "/$place" "/sysroot/$place"
done
exec switch_root /sysroot /sbin/init
