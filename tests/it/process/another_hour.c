// Another wall clock for the process that preloads it: $HOURS_AGO hours behind. What has run since the machine
// started, and what intervals are measured by, stays as it is.

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    const char *hours = getenv("HOURS_AGO");
    if (result == 0 && clock == CLOCK_REALTIME && hours != NULL) {
        time->tv_sec -= 3600L * atoi(hours);
    }
    return result;
}
