/*
 * The least that can be done by hand to start a system from a root that dm-verity verifies: the modules in a fixed order,
 * one device from a fixed table, fixed mounts. It looks for nothing and checks nothing. What must be known is in fixed.h:
 *
 *   MODULES   paths, in the order in which they are loaded
 *   STATE     the device of the writable layers
 *   SECTORS   the root's size in sectors of 512 bytes
 *   TABLE     the parameters of the verity target
 *   With LAYERS, /etc, /var and /home are made writable as surefoot does it by default.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fixed.h"

static const char *const modules[] = {MODULES};

static void must(int result, const char *what)
{
    if (result < 0) {
        dprintf(2, "floor: %s: %s\n", what, strerror(errno));
        _exit(1);
    }
}

static struct {
    struct dm_ioctl head;
    struct dm_target_spec target;
    char table[512];
} request;

static void device_mapper(int control, unsigned long command, unsigned flags)
{
    request.head.version[0] = DM_VERSION_MAJOR;
    request.head.data_size = sizeof request;
    request.head.data_start = sizeof request.head;
    request.head.flags = flags;
    strcpy(request.head.name, "root");
    must(ioctl(control, command, &request), "device-mapper");
}

static void verity(void)
{
    int control = open("/dev/mapper/control", O_RDWR);
    must(control, "/dev/mapper/control");
    device_mapper(control, DM_DEV_CREATE, 0);
    memset(&request, 0, sizeof request);
    request.head.target_count = 1;
    request.target.length = SECTORS;
    strcpy(request.target.target_type, "verity");
    strcpy(request.table, TABLE);
    device_mapper(control, DM_TABLE_LOAD, DM_READONLY_FLAG);
    memset(&request, 0, sizeof request);
    device_mapper(control, DM_DEV_SUSPEND, DM_READONLY_FLAG);
    close(control);
}

int main(void)
{
    must(mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755"), "/dev");
    must(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "/proc");
    must(mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "/sys");
    must(mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV | MS_STRICTATIME, "mode=0755"), "/run");
    for (unsigned i = 0; i < sizeof modules / sizeof *modules; i++) {
        int file = open(modules[i], O_RDONLY | O_CLOEXEC);
        must(file, modules[i]);
        must(syscall(SYS_finit_module, file, "", 0), modules[i]);
        close(file);
    }
    verity();
    must(mount("/dev/dm-0", "/sysroot", "erofs", MS_RDONLY, NULL), "root");
#ifdef LAYERS
    must(mkdir("/run/state", 0700), "/run/state");
    must(mount(STATE, "/run/state", "ext4", MS_NOSUID | MS_NODEV, NULL), "state");
    mkdir("/run/state/etc", 0755);
    mkdir("/run/state/etc/upper", 0755);
    mkdir("/run/state/etc/work", 0755);
    mkdir("/run/state/var", 0755);
    mkdir("/run/state/home", 0755);
    must(mount("overlay", "/sysroot/etc", "overlay", MS_NOSUID | MS_NODEV,
               "lowerdir=/sysroot/etc,upperdir=/run/state/etc/upper,workdir=/run/state/etc/work"),
         "/etc");
    must(mount("/run/state/var", "/sysroot/var", NULL, MS_BIND, NULL), "/var");
    must(mount("/run/state/home", "/sysroot/home", NULL, MS_BIND, NULL), "/home");
#endif
    must(mount("/dev", "/sysroot/dev", NULL, MS_MOVE, NULL), "move /dev");
    must(mount("/proc", "/sysroot/proc", NULL, MS_MOVE, NULL), "move /proc");
    must(mount("/sys", "/sysroot/sys", NULL, MS_MOVE, NULL), "move /sys");
    must(mount("/run", "/sysroot/run", NULL, MS_MOVE, NULL), "move /run");
    must(chdir("/sysroot"), "chdir");
    must(mount(".", "/", NULL, MS_MOVE, NULL), "move the root");
    must(chroot("."), "chroot");
    execl("/sbin/init", "/sbin/init", (char *)NULL);
    must(-1, "/sbin/init");
}
