/* The real init of the machines that are measured: says when it started, and how much memory is free, and ends the machine. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

/* Pages that a processor keeps at hand count as used, and may be as many as the whole initramfs had. */
static unsigned long pages_at_hand(void)
{
    unsigned long all = 0, some;
    char line[256];
    mkdir("/proc", 0555);
    mount("proc", "/proc", "proc", 0, NULL);
    FILE *zones = fopen("/proc/zoneinfo", "r");
    while (zones && fgets(line, sizeof line, zones))
        if (sscanf(line, " count: %lu", &some) == 1)
            all += some;
    return all;
}

int main(void)
{
    struct timespec now;
    struct sysinfo memory;
    clock_gettime(CLOCK_BOOTTIME, &now);
    sysinfo(&memory);
    unsigned long free_kib = memory.freeram / 1024 * memory.mem_unit + pages_at_hand() * (getpagesize() / 1024);
    int console = open("/dev/console", O_WRONLY);
    dprintf(console < 0 ? 1 : console, "\nmarker: %lld ns, %lu KiB free\n", now.tv_sec * 1000000000LL + now.tv_nsec,
            free_kib);
    reboot(RB_POWER_OFF);
    return 1;
}
