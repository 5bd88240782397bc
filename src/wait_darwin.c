/* SPDX-License-Identifier: MIT */
/*
 * Sleeping and waking on macOS: by the calls that wait on an address, which came with 14.4 and are
 * looked for at run time, and before that by naps. The private __ulock calls, which those are made
 * of, are older, but not for us: what is private may change without notice, and a program that
 * names them is not accepted in Apple's store.
 */
#include "wait_nap.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

/* From <os/os_sync_wait_on_address.h> and <os/clock.h>, which older SDKs have not got. */
#define SHARED        1u  /* OS_SYNC_WAIT_ON_ADDRESS_SHARED, OS_SYNC_WAKE_BY_ADDRESS_SHARED */
#define ABSOLUTE_TIME 32u /* OS_CLOCK_MACH_ABSOLUTE_TIME */

static struct {
    int (*wait)(void *addr, uint64_t value, size_t size, uint32_t flags, uint32_t clock,
                uint64_t timeout_ns);
    int (*wake_any)(void *addr, size_t size, uint32_t flags);
    int (*wake_all)(void *addr, size_t size, uint32_t flags);
    bool found; /* all of them */
} calls;

static void find_calls(void)
{
    *(void **)&calls.wait = dlsym(RTLD_DEFAULT, "os_sync_wait_on_address_with_timeout");
    *(void **)&calls.wake_any = dlsym(RTLD_DEFAULT, "os_sync_wake_by_address_any");
    *(void **)&calls.wake_all = dlsym(RTLD_DEFAULT, "os_sync_wake_by_address_all");
    calls.found = calls.wait != NULL && calls.wake_any != NULL && calls.wake_all != NULL;
}

/* The same answer in all processes of a machine, so that sleepers and wakers agree. */
static bool have_calls(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, find_calls);
    return calls.found;
}

/* Every way in which this returns is a reason for the caller to look again. */
void mring_os_sleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    if (timeout_ns <= 0)
        return;
    if (have_calls())
        calls.wait(&event->epoch.value, expected, sizeof event->epoch.value, SHARED, ABSOLUTE_TIME,
                   (uint64_t)timeout_ns);
    else
        mring_nap(event, expected, timeout_ns);
}

/*
 * The system says that somebody was woken, or ENOENT, nobody sleeps; it doesn't say how many. One
 * by one they can be counted. All at once they can't, and 0 is less than `most` as any number of
 * sleepers is, which is what N5 asks for. Any other failure is no reason to acknowledge anybody.
 */
uint32_t mring_os_wake(struct mring_event *event, uint32_t most)
{
    uint32_t woken = 0;

    if (!have_calls())
        return 0;
    if (most == MRING_WAKE_ALL)
        return calls.wake_all(&event->epoch.value, sizeof event->epoch.value, SHARED) == 0 ||
                       errno == ENOENT
                   ? 0
                   : most;
    while (woken < most) {
        if (calls.wake_any(&event->epoch.value, sizeof event->epoch.value, SHARED) == 0)
            woken++;
        else
            return errno == ENOENT ? woken : most;
    }
    return woken;
}
