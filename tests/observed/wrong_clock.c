/* Sets the wall clock of a daemon five minutes ahead as soon as the file named by CLOCK_AHEAD is there, and that of nobody else in the
   same environment, so that ARGOS does not confirm it. Preloaded by states.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int (*real)(clockid_t, struct timespec *);
static const char *ahead;

__attribute__((constructor)) static void begin(void) {
  char line[256] = {0};
  int file = open("/proc/self/cmdline", O_RDONLY);
  ssize_t length = read(file, line, sizeof line - 1);
  close(file);
  real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  if (length > 0 && memmem(line, (size_t)length, "\0serve\0", 7)) ahead = getenv("CLOCK_AHEAD");
}

int clock_gettime(clockid_t id, struct timespec *at) {
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, at);
  if (result == 0 && id == CLOCK_REALTIME && ahead && access(ahead, F_OK) == 0) at->tv_sec += 300;
  return result;
}
