/* SPDX-License-Identifier: MIT */
/*
 * ringbench: what the rings and mappings of this library cost on this machine.
 *
 *      ringbench                                   everything, about half a minute
 *      ringbench --benchmark_filter=bytes:64/      some rows; the framework matches a longer name,
 *                                                  so end with the slash and not with $
 *      ringbench --cpus=0,2                        producer on 0, consumer on 2
 *      ringbench --benchmark_format=json           for programs; the tables go to stderr
 *      ringbench --laps=1024 --benchmark_repetitions=9
 *                                                  long repetitions, for a quiet machine
 *
 * Every row is repeated 101 times, in random order over all rows, so that a slow phase of the
 * machine hits all of them alike; compare medians, and only within one run.
 *
 * The repetitions are short, about a millisecond. A ring stands still as soon as one of its two
 * sides does, so that any other work on the cores spoils the repetition that it falls into; most
 * short ones fit between two interruptions, and one that did not is done again (bytes.c). At a load
 * of 4 on 2 cores the ratio of two rings came out between 0.9 and 1.2 for nearly every size this
 * way, and between 0.2 and 5 with 9 long repetitions. The tables mark the rows that suffered all
 * the same. What no repetition helps against is a virtual machine whose processors move between the
 * host's caches: then the rings are slower by a factor of 3, all alike, and memcpy is not.
 */
#define _GNU_SOURCE /* uname() and its kin under -std=c11 */

#include "cbench.h"
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static const char help[] =
    "ringbench [--cpus=A,B]   producer on processor A, consumer on B\n"
    "          [--laps=N]     go N times over the ring in one repetition\n"
    "and the options of Google Benchmark; the number of iterations is fixed.\n\n";

static const char *const defaults[] = {
    "--benchmark_repetitions=101",
    "--benchmark_enable_random_interleaving=true",
    "--benchmark_display_aggregates_only=true",
};

/* ---- the machine ----------------------------------------------------------------------------- */

/* The text behind `key` on the first line of a file that starts with it; false if there is none. */
static bool find_line(const char *path, const char *key, char *text, size_t size)
{
    char line[512];
    FILE *file = fopen(path, "r");
    bool found = false;

    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strncmp(line, key, strlen(key)) == 0;
    fclose(file);
    if (!found)
        return false;
    const char *start = line + strlen(key);
    start += strspn(start, " \t:");
    snprintf(text, size, "%.*s", (int)strcspn(start, "\n"), start);
    return true;
}

static void describe_machine(const struct bench_cores *cores)
{
    char text[512];
    struct utsname system;

    if (find_line("/proc/cpuinfo", "model name", text, sizeof text))
        cb_add_context("cpu", text);
    cb_add_context("cores", cores->topology);
    if (uname(&system) == 0) {
        snprintf(text, sizeof text, "%s %s %s", system.sysname, system.release, system.machine);
        cb_add_context("kernel", text);
    }
    if (find_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "", text, sizeof text))
        cb_add_context("huge pages, shared memory", text);
}

static void describe_build(void)
{
#if defined(__clang__)
    cb_add_context("compiler", __VERSION__);
#else
    cb_add_context("compiler", "gcc " __VERSION__);
#endif
    cb_add_context("flags", BENCH_FLAGS);
#if !defined(__OPTIMIZE__)
    fputs("ringbench: built without optimisation; the numbers mean nothing\n", stderr);
#elif !defined(NDEBUG)
    fputs("ringbench: built with assertions, which cost time in every call\n", stderr);
#endif
}

/* ---- main ------------------------------------------------------------------------------------ */

/* Our own options. */
struct options {
    const char *cpus; /* "A,B" or NULL */
    unsigned laps;    /* 0: default */
};

/* Take them out of the command line; the rest is for the framework. False if one is no good. */
static bool take_options(struct options *options, int *argc, char **argv)
{
    static const char cpus[] = "--cpus=";
    static const char laps[] = "--laps=";
    int kept = 1;
    char rest;

    for (int i = 1; i < *argc; i++) {
        if (strncmp(argv[i], cpus, sizeof cpus - 1) == 0) {
            options->cpus = argv[i] + sizeof cpus - 1;
        } else if (strncmp(argv[i], laps, sizeof laps - 1) == 0) {
            const char *value = argv[i] + sizeof laps - 1;
            if (sscanf(value, "%6u%c", &options->laps, &rest) != 1 || options->laps == 0) {
                fprintf(stderr, "ringbench: --laps=N takes a number from 1 to 999999\n");
                return false;
            }
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    argv[kept] = NULL;
    return true;
}

static void print_tables(FILE *out)
{
    bool printed = bytes_print(out);

    printed = mapping_print(out) || printed;
    if (printed)
        fprintf(out, "\n* disturbed: the middle half of the repetitions spreads over %.0f %%\n",
                100 * BENCH_SPREAD_MAX);
}

int main(int argc, char **argv)
{
    struct bench_cores cores;
    struct options options = { 0 };

    if (!take_options(&options, &argc, argv) ||
        !cb_initialize(argc, argv, defaults, sizeof defaults / sizeof defaults[0], help))
        return EXIT_FAILURE;
    if (!bench_choose_cores(&cores, options.cpus)) {
        fprintf(stderr, "ringbench: the threads can't be pinned to --cpus=%s\n", options.cpus);
        return EXIT_FAILURE;
    }
    describe_build();
    describe_machine(&cores);
    bytes_register(&cores, options.laps);
    mapping_register();

    bool ok = cb_run();
    print_tables(cb_output_is_text() ? stdout : stderr);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
