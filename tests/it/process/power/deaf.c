/* Preloaded into a daemon, this makes every fdatasync of its database file a success that does nothing.
 * All other files are synced as they should be. */
#include <string.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char database[] = "/ledger/db";

int fdatasync(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    ssize_t end = sizeof database - 1;
    if (length >= end && memcmp(path + length - end, database, end) == 0)
        return 0;
    return syscall(SYS_fdatasync, fd);
}
