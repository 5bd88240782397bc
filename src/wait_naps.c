/* SPDX-License-Identifier: MIT */
/* Sleeping and waking where there is nothing better: the BSDs. */
#define _GNU_SOURCE /* nanosleep; systems without this macro show it anyway */

#include "wait_nap.h"

void mring_os_sleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    mring_nap(event, expected, timeout_ns);
}

uint32_t mring_os_wake(struct mring_event *event, uint32_t most)
{
    (void)event, (void)most;
    return 0;
}
