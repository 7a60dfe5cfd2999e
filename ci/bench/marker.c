/* The real init of the machines that are measured: says when it started, and how much memory is free, and ends the machine. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * Free memory in KiB: what the zones have, and what each processor keeps at hand, which counts as used and may be as much as the
 * whole initramfs was. Only the kernel's first program finds no /proc.
 */
static unsigned long free_kib(void)
{
    unsigned long pages = 0, some;
    char line[256];
    mkdir("/proc", 0555);
    mount("proc", "/proc", "proc", 0, NULL);
    FILE *zones = fopen("/proc/zoneinfo", "r");
    while (zones && fgets(line, sizeof line, zones))
        if (sscanf(line, " pages free %lu", &some) == 1 || sscanf(line, " count: %lu", &some) == 1)
            pages += some;
    return pages * (getpagesize() / 1024);
}

int main(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    int console = open("/dev/console", O_WRONLY);
    dprintf(console < 0 ? 1 : console, "\nmarker: %lld ns, %lu KiB free\n", now.tv_sec * 1000000000LL + now.tv_nsec,
            free_kib());
    reboot(RB_POWER_OFF);
    return 1;
}
