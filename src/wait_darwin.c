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

/* Whether a call that failed did not do what it should have: anything but the end of the time, a
   changed epoch, or a signal. */
static bool is_refused(int code)
{
    return code != ETIMEDOUT && code != EINTR;
}

/*
 * Every way in which this returns is a reason for the caller to look again. Where the system
 * refuses to have him sleep, he naps, rather than look all the time.
 */
void mring_os_sleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    if (timeout_ns <= 0)
        return;
    if (!have_calls() || (calls.wait(&event->epoch.value, expected, sizeof event->epoch.value,
                                     SHARED, ABSOLUTE_TIME, (uint64_t)timeout_ns) < 0 &&
                          is_refused(errno)))
        mring_nap(event, expected, timeout_ns);
}

/* Wake one, or all. False: nobody sleeps; or the system refuses, and whoever waits naps. */
static bool wake_by(int (*call)(void *addr, size_t size, uint32_t flags), struct mring_event *event)
{
    int result;

    do {
        result = call(&event->epoch.value, sizeof event->epoch.value, SHARED);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

/* Nobody sleeps: that is sure. Otherwise waking all of them may work where waking one doesn't. */
static void wake_the_rest(struct mring_event *event)
{
    if (errno != ENOENT)
        wake_by(calls.wake_all, event);
}

/*
 * The system doesn't say how many it woke. One by one they can be counted. All at once they can't,
 * and 0 is less than `most` as any number of sleepers is, which is what N5 asks for. Only those
 * that were woken are counted, whatever happens: mpmc.c goes on with who polls if they are too few,
 * and N5 then acknowledges all, of whom nobody sleeps who could not be woken.
 */
uint32_t mring_os_wake(struct mring_event *event, uint32_t most)
{
    uint32_t woken = 0;

    if (!have_calls())
        return 0;
    if (most == MRING_WAKE_ALL) {
        wake_by(calls.wake_all, event);
        return 0;
    }
    while (woken < most && wake_by(calls.wake_any, event))
        woken++;
    if (woken < most)
        wake_the_rest(event);
    return woken;
}
