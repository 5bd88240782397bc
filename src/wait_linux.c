/* SPDX-License-Identifier: MIT */
/* Sleeping and waking on Linux: futex, eventfd, membarrier. */
#define _GNU_SOURCE /* syscall */

#include <mring/wait.h>

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
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
void mring_os_sleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    struct {
        int64_t tv_sec, tv_nsec;
    } timeout = { timeout_ns / NS_PER_SECOND, timeout_ns % NS_PER_SECOND };

    syscall(FUTEX_CALL, &event->epoch.value, FUTEX_WAIT, expected, &timeout, NULL, 0);
}

/* Less than 0, an error, where nobody can sleep either. */
uint32_t mring_os_wake(struct mring_event *event, uint32_t most)
{
    int woken = (int)syscall(FUTEX_CALL, &event->epoch.value, FUTEX_WAKE, most, NULL, NULL, 0);

    return woken > 0 ? (uint32_t)woken : 0;
}

/* A futex is found by the memory that it is in. */
uint64_t mring_os_event_id(void)
{
    return 0;
}

/* Readable already if its counter is full, which is the only way in which this can fail. */
void mring_os_signal(int fd)
{
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);

    (void)written;
}

/* Nothing to read is what was wanted. */
void mring_os_clear(int fd)
{
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);

    (void)got;
}

/*
 * Expedited: by interrupts to the processors that run such processes now, which takes
 * microseconds. It fails only for want of memory; the other way takes milliseconds and none.
 * Where a filter refuses both, a sleeper finds out after its slice (MRING_FENCE is for that).
 */
void mring_os_barrier(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) != 0)
        syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

/* Forked processes inherit it. */
bool mring_os_join_barriers(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}
