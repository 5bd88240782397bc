/* SPDX-License-Identifier: MIT */
/*
 * The record ring's sources without the library's habit of looking around after a while of sleep,
 * which would hide a lost wake-up: here that hangs, and an alarm tells where.
 */
#ifndef MRING_TESTS_MPMC_UNSLICED_H
#define MRING_TESTS_MPMC_UNSLICED_H

#define MRING_WAIT_SLICE_NS INT64_MAX
#include "../../src/mpmc.c"
#include "../../src/waiter.c"

#include "under_tsan.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ALARM_S (UNDER_TSAN ? 240u : 60u)

/* What runs now. */
static char run_name[200];

/* Other threads may wait for this one: so the process ends. */
_Noreturn static void fail(const char *what)
{
    printf("%s: %s\n0 passed, 1 failed\n", run_name, what);
    fflush(stdout);
    _exit(1);
}

static void on_alarm(int number)
{
    static const char text[] = ": hangs\n";

    (void)number;
    if (write(STDOUT_FILENO, run_name, strlen(run_name)) < 0 ||
        write(STDOUT_FILENO, text, sizeof text - 1) < 0)
        _exit(2);
    _exit(1);
}

/* For the run that begins; the one before has ended. */
static void set_alarm(void)
{
    signal(SIGALRM, on_alarm);
    alarm(ALARM_S);
}

#endif
