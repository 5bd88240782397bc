/* SPDX-License-Identifier: MIT */
/* What is alike on all POSIX systems of what waiting needs: the clock, and telling forks. */
#define _GNU_SOURCE /* systems without this macro show everything anyway */

#include <mring/wait.h>

#include <pthread.h>
#include <time.h>

#define NS_PER_SECOND ((int64_t)1000000000)

/* One that stands while the machine sleeps, so that what was not waited for is not over. macOS has
   it under another name; its CLOCK_MONOTONIC goes on, and counts microseconds. */
#if defined(CLOCK_UPTIME_RAW)
#define CLOCK CLOCK_UPTIME_RAW
#else
#define CLOCK CLOCK_MONOTONIC
#endif

int64_t mring_os_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static uint32_t process_number = 1;

static void count_fork(void)
{
    process_number++;
}

/* If this fails, for want of memory, a fork goes unnoticed. */
static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

uint32_t mring_os_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_forks);
    return process_number;
}
