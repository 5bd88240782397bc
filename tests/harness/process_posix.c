/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* These end the running process: its timeout, and what ends ours. */
static const int stops[] = { SIGALRM, SIGHUP, SIGINT, SIGTERM };

static pid_t running;
static volatile sig_atomic_t stopped_by;

/* A process group of its own takes along what the test has started. */
static void stop(int number)
{
    stopped_by = number;
    kill(-running, SIGKILL);
}

static void handle_stops(void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };

    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        sigaction(stops[i], &action, NULL);
}

/* The handler may kill the group until the last moment, so it must still be there: WNOWAIT. */
static siginfo_t wait_for_end(double seconds)
{
    siginfo_t end;

    alarm((unsigned)(seconds + 0.999));
    while (waitid(P_PID, (id_t)running, &end, WEXITED | WNOWAIT) != 0)
        if (errno != EINTR)
            die("waitid");
    alarm(0);
    handle_stops(SIG_DFL);
    kill(-running, SIGKILL);
    if (waitid(P_PID, (id_t)running, &end, WEXITED) != 0)
        die("waitid");
    return end;
}

/* A fork goes on where it is. */
void process_begin(char **arguments, process_body *body)
{
    (void)arguments;
    (void)body;
}

struct process_end process_run(process_body *body, const char *name, double seconds)
{
    fflush(NULL); /* what is buffered would be written twice */
    stopped_by = 0;
    running = fork();
    if (running < 0)
        die("fork");
    if (running == 0) {
        setpgid(0, 0);
        exit(body(name));
    }
    setpgid(running, running); /* whoever is first */
    handle_stops(stop);
    siginfo_t end = wait_for_end(seconds);

    if (stopped_by != 0 && stopped_by != SIGALRM)
        raise(stopped_by);
    if (end.si_code == CLD_EXITED)
        return (struct process_end){ PROCESS_EXITED, end.si_status };
    return (struct process_end){ stopped_by != 0 ? PROCESS_TIMED_OUT : PROCESS_SIGNALLED,
                                 end.si_status };
}

void process_quit(int code)
{
    _exit(code);
}
