// A library that a test has loaded before all others (LD_PRELOAD) into the processes whose wall clock it sets. They read the
// time by clock_gettime, as always, and get it with the seconds added that stand in the file $SHIFTED_CLOCK; so they live
// through midnight when the test says so. Clocks that only measure are left alone.

#define _GNU_SOURCE
#include "ShiftedClock.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;

__attribute__((constructor)) static void find_shift(void)
{
    const char *path = getenv("SHIFTED_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED)
        shift = page;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int status = syscall(SYS_clock_gettime, clock, time);
    if (status == 0 && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += *shift;
    return status;
}
