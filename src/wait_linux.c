/* SPDX-License-Identifier: MIT */
/* Sleeping and waking on Linux: futex. */
#define _GNU_SOURCE /* syscall */

#include <mring/wait.h>

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND ((int64_t)1000000000)

/* On 32-bit machines the system call takes the 64-bit time only under this name. */
#ifdef SYS_futex_time64
#define FUTEX_CALL SYS_futex_time64
#else
#define FUTEX_CALL SYS_futex
#endif

/*
 * Not FUTEX_PRIVATE_FLAG: the sleeper may be in another process. Every way in which this returns is
 * a reason for the caller to look again, so nothing is reported.
 */
void mring_os_sleep(mring_atomic_u32 *word, uint32_t expected, int64_t timeout_ns)
{
    struct {
        int64_t tv_sec, tv_nsec;
    } timeout = { timeout_ns / NS_PER_SECOND, timeout_ns % NS_PER_SECOND };

    syscall(FUTEX_CALL, &word->value, FUTEX_WAIT, expected, &timeout, NULL, 0);
}

void mring_os_wake(mring_atomic_u32 *word)
{
    syscall(FUTEX_CALL, &word->value, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int64_t mring_os_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}
