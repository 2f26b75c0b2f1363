// Fails the writes and syncs of the process that preloads it while the link that $DISK_FAILS_WHILE names
// is there. The link points at the number of the error, or at its negative when only syncs of whole
// files fail. A look at it needs no descriptor.

#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failure(int of_a_write) {
    char number[8] = "";
    const char *link = getenv("DISK_FAILS_WHILE");
    if (link == NULL || readlink(link, number, sizeof number - 1) <= 0) {
        return 0;
    }
    int error = atoi(number);
    return error > 0 ? error : of_a_write ? 0 : -error;
}

#define OR_FAIL(of_a_write, call)        \
    int error = failure(of_a_write);     \
    if (error != 0) {                    \
        errno = error;                   \
        return -1;                       \
    }                                    \
    return call

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    OR_FAIL(1, syscall(SYS_pwrite64, fd, bytes, count, at));
}

int sync_file_range(int fd, off64_t from, off64_t count, unsigned int flags) {
    OR_FAIL(1, syscall(SYS_sync_file_range, fd, from, count, flags));
}

int fdatasync(int fd) {
    OR_FAIL(0, syscall(SYS_fdatasync, fd));
}

int fsync(int fd) {
    OR_FAIL(0, syscall(SYS_fsync, fd));
}
