/* SPDX-License-Identifier: MIT */
/*
 * What the harness needs of a system: a process for each test. One process_*.c is compiled.
 */
#ifndef MRING_HARNESS_PROCESS_H
#define MRING_HARNESS_PROCESS_H

/* How a process ended. */
struct process_end {
    enum {
        PROCESS_EXITED,    /* by itself, with the exit code `code` */
        PROCESS_SIGNALLED, /* by the signal `code` */
        PROCESS_TIMED_OUT,
    } how;
    int code;
};

/* What runs in a process of its own: the test of that name. Returns the exit code. */
typedef int process_body(const char *name);

/*
 * Call it first in main(): the process of a test may be this program, started anew. It runs the
 * body there and does not return.
 */
void process_begin(char **arguments, process_body *body);

/*
 * Run `body` in a new process, which exits with the code that it returns, and wait for its end.
 * After so many seconds it is killed; 0: never. What it has started and left is killed, too.
 */
struct process_end process_run(process_body *body, const char *name, double seconds);

/* End this process at once, whatever its other threads are doing. */
_Noreturn void process_quit(int code);

#endif
