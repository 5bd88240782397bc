/* SPDX-License-Identifier: MIT */
/*
 * ringbench: what the rings and mappings of this library cost on this machine, next to the queues
 * that one would use otherwise.
 *
 *      ringbench                                   everything, some minutes
 *      ringbench --quick                           the classes that matter most, less than one
 *      ringbench --compare                         the head-to-head with other queues only
 *      ringbench --benchmark_filter=bytes:64/      some rows; the framework matches a longer name,
 *                                                  so end with the slash and not with $
 *      ringbench --at-least=spsc/rtt=1.1           fail if we are less than 1.1 times as good as
 *                                                  the best competitor; may be given repeatedly
 *      ringbench --repeat-check                    everything twice: which ratios can be trusted?
 *      ringbench --cpus=0,2                        producer on 0, consumer on 2
 *      ringbench --benchmark_format=json           for programs; the tables go to stderr
 *
 * Every row is repeated many times, in rounds with the other rows of its class: so a slow phase of
 * the machine hits all of them alike (round.h). Compare ratios, and only within one run.
 *
 * The repetitions are short, a few milliseconds. A ring stands still as soon as one of its two
 * sides does, so that any other work on the cores spoils the repetition that it falls into; most
 * short ones fit between two interruptions, and one that did not is done again. What no repetition
 * helps against is a virtual machine whose processors move between the host's caches: then
 * everything that crosses from core to core is slower, by a factor of up to 5, and not for all
 * queues by the same. So the transfer of a bare cache line is measured before and after, and a run
 * in which it moved is marked.
 */
#define _GNU_SOURCE /* uname() and its kin under -std=c11 */

#include "report.h"
#include "rows.h"

#include <mring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char help[] =
    "ringbench [--quick]               the classes that matter most, in less than a minute\n"
    "          [--compare]             only the head-to-head with other queues\n"
    "          [--at-least=ROW=RATIO]  fail if our ratio to the best competitor is less\n"
    "          [--repeat-check]        run twice, compare the ratios; fail if they differ\n"
    "          [--cpus=A,B,...]        producer on processor A, consumer on B, further threads on\n"
    "                                  the next ones in turn\n"
    "          [--laps=N]              go about N times over the ring in one repetition\n"
    "          [--plot-data=FOLDER]    write what bench/plots.gp draws\n"
    "          [--negative-control]    broken queues, whose rows have to fail\n"
    "and the options of Google Benchmark; the number of iterations is fixed.\n\n";

/* Of the ring, in all repetitions together; and in one, so that it takes long enough. */
#define LAPS_IN_ALL       1024
#define LAPS_MIN          16
#define AT_LEAST_MAX      64
#define MOVED_BY          1.3
#define PROGRESS_NS       INT64_C(200000000)
#define PROGRESS_APART_NS INT64_C(30000000000)

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

/* For the report of the framework, and for ours. */
static void describe(const char *key, const char *value)
{
    cb_add_context(key, value);
    if (!cb_report_is_wanted())
        printf("%-26s %s\n", key, value);
}

static void describe_machine(const struct bench_cores *cores)
{
    char text[512];
    struct utsname system;

    if (find_line("/proc/cpuinfo", "model name", text, sizeof text))
        describe("cpu", text);
    describe("producer and consumer on", cores->topology);
    if (uname(&system) == 0) {
        snprintf(text, sizeof text, "%s %s %s", system.sysname, system.release, system.machine);
        describe("kernel", text);
    }
    if (find_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "", text, sizeof text))
        describe("governor", text);
    else
        describe("governor", "none that the system shows");
    if (find_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "", text, sizeof text))
        describe("huge pages, shared memory", text);
    if (find_line("/proc/meminfo", "HugePages_Total", text, sizeof text))
        describe("huge pages, pool", text);
}

static void describe_build(void)
{
    char text[64];

    snprintf(text, sizeof text, "%d.%d.%d", MRING_VERSION_MAJOR, MRING_VERSION_MINOR,
             MRING_VERSION_PATCH);
    describe("mring", text);
#if defined(__clang__)
    describe("compiler", __VERSION__);
#else
    describe("compiler", "gcc " __VERSION__);
#endif
    describe("flags of C", BENCH_C_FLAGS);
    describe("flags of C++", BENCH_CXX_FLAGS);
#if !defined(__OPTIMIZE__)
    fputs("ringbench: built without optimisation; the numbers mean nothing\n", stderr);
#elif !defined(NDEBUG)
    fputs("ringbench: built with assertions, which cost time in every call\n", stderr);
#endif
}

/* Returns what it is. */
static double describe_line(const struct bench_cores *cores)
{
    double ns = classes_measure_line(cores);
    char text[64];

    snprintf(text, sizeof text, "%.1f ns", ns);
    describe("transfer of a line, before", text);
    return ns;
}

/* ---- options --------------------------------------------------------------------------------- */

/* A ratio that has to be reached. */
struct at_least {
    char row[64];
    double ratio;
};

struct options {
    struct bench_options bench;
    const char *cpus; /* "A,B" or NULL */
    const char *plot_data;
    bool repeat_check;
    struct at_least at_least[AT_LEAST_MAX];
    unsigned at_least_count;
};

/* The text behind `option` if the argument begins with it, or NULL. */
static const char *value_of(const char *argument, const char *option)
{
    size_t length = strlen(option);

    return strncmp(argument, option, length) == 0 ? argument + length : NULL;
}

static bool complain(const char *text)
{
    fprintf(stderr, "ringbench: %s\n", text);
    return false;
}

static bool take_at_least(struct options *options, const char *value)
{
    struct at_least *at_least = &options->at_least[options->at_least_count];
    const char *equals = strrchr(value, '=');
    char rest;

    if (options->at_least_count == AT_LEAST_MAX)
        return complain("too many --at-least");
    if (equals == NULL || equals == value || (size_t)(equals - value) >= sizeof at_least->row ||
        sscanf(equals + 1, "%lf%c", &at_least->ratio, &rest) != 1 || !(at_least->ratio > 0))
        return complain("--at-least=ROW=RATIO takes a row and a number, as in spsc/rtt=1.1");
    snprintf(at_least->row, sizeof at_least->row, "%.*s", (int)(equals - value), value);
    options->at_least_count++;
    return true;
}

static bool take_laps(struct options *options, const char *value)
{
    char rest;

    if (value[0] < '1' || value[0] > '9' ||
        sscanf(value, "%6u%c", &options->bench.laps, &rest) != 1)
        return complain("--laps=N takes a number from 1 to 999999");
    return true;
}

/* Take one of our own. False, with a message, if it is no good; *ours says whether it was one. */
static bool take_option(struct options *options, const char *argument, bool *ours)
{
    const char *value;

    *ours = true;
    if ((value = value_of(argument, "--at-least=")) != NULL)
        return take_at_least(options, value);
    if ((value = value_of(argument, "--laps=")) != NULL)
        return take_laps(options, value);
    if ((value = value_of(argument, "--cpus=")) != NULL)
        options->cpus = value;
    else if ((value = value_of(argument, "--plot-data=")) != NULL)
        options->plot_data = value;
    else if (strcmp(argument, "--quick") == 0)
        options->bench.quick = true;
    else if (strcmp(argument, "--compare") == 0)
        options->bench.compare = true;
    else if (strcmp(argument, "--repeat-check") == 0)
        options->repeat_check = true;
    else if (strcmp(argument, "--negative-control") == 0)
        options->bench.negative_control = true;
    else
        *ours = false;
    return true;
}

/* Take them out of the command line; the rest is for the framework. False if one is no good. */
static bool take_options(struct options *options, int *argc, char **argv)
{
    int kept = 1;

    for (int i = 1; i < *argc; i++) {
        bool ours;
        if (i + 1 < *argc && strcmp(argv[i], "--at-least") == 0) {
            if (!take_at_least(options, argv[++i]))
                return false;
            continue;
        }
        if (!take_option(options, argv[i], &ours))
            return false;
        if (!ours)
            argv[kept++] = argv[i];
    }
    *argc = kept;
    argv[kept] = NULL;
    return true;
}

static bool take_framework_options(struct options *options, int argc, char **argv)
{
    const char *defaults[] = {
        options->bench.quick ? "--benchmark_repetitions=31" : "--benchmark_repetitions=101",
        "--benchmark_enable_random_interleaving=true",
        "--benchmark_display_aggregates_only=true",
    };

    if (!cb_initialize(argc, argv, defaults, sizeof defaults / sizeof defaults[0], help))
        return false;
    if (cb_repetitions() == 0)
        return complain("without a repetition there is nothing to show");
    unsigned laps = (unsigned)(LAPS_IN_ALL / cb_repetitions()) + 1;
    if (options->bench.laps == 0)
        options->bench.laps = laps > LAPS_MIN ? laps : LAPS_MIN;
    return true;
}

/* Before anybody waits for what can't be written. */
static bool check_folder(const char *folder)
{
    struct stat status;

    if (folder == NULL)
        return true;
    if (stat(folder, &status) == 0 && S_ISDIR(status.st_mode) && access(folder, W_OK) == 0)
        return true;
    fprintf(stderr, "ringbench: --plot-data=%s is no folder that can be written to\n", folder);
    return false;
}

/* ---- progress -------------------------------------------------------------------------------- */

/* A line that is written over on a terminal, a new one now and then elsewhere. */
static void show_progress(uint64_t done, uint64_t total)
{
    static int64_t start, shown;
    static bool on_line;
    bool terminal = isatty(STDERR_FILENO) == 1;
    int64_t now = mring_os_now();

    if (done == 0) {
        start = now;
        shown = now;
    }
    if (done > 0 && done == total && on_line)
        fprintf(stderr, "\r%60s\r", "");
    on_line = on_line && done < total;
    if (done == 0 || done >= total || now - shown < (terminal ? PROGRESS_NS : PROGRESS_APART_NS))
        return;
    int64_t left = (int64_t)((double)(now - start) / (double)done * (double)(total - done));
    fprintf(stderr, "%sringbench: %3.0f %%, %.0f s, some %.0f s to go  %s", terminal ? "\r" : "",
            100 * (double)done / (double)total, (double)(now - start) * 1e-9, (double)left * 1e-9,
            terminal ? "" : "\n");
    on_line = terminal;
    shown = now;
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* Whether there are such rows; says which is not there, before anybody waits for it. */
static bool know_rows(const struct options *options)
{
    for (unsigned i = 0; i < options->at_least_count; i++) {
        const char *row = options->at_least[i].row;
        if (!report_can_compare(row)) {
            fprintf(stderr,
                    "ringbench: --at-least=%s: this run has no such row, or not both sides\n", row);
            return false;
        }
    }
    return true;
}

/* Whether all ratios that were asked for were reached; says which were not. */
static bool check_ratios(const struct options *options)
{
    bool ok = true;

    for (unsigned i = 0; i < options->at_least_count; i++) {
        const struct at_least *at_least = &options->at_least[i];
        double ratio = report_ratio(at_least->row);
        if (ratio > 0 && ratio >= at_least->ratio)
            continue;
        ok = false;
        if (ratio > 0)
            fprintf(stderr, "ringbench: %s fell short: %.3f of the best competitor, not %.3f\n",
                    at_least->row, ratio, at_least->ratio);
        else
            fprintf(stderr, "ringbench: %s: no ratio was measured\n", at_least->row);
    }
    return ok;
}

static void print_line_transfer(FILE *out, double before, double after)
{
    if (before <= 0 || after <= 0) {
        fputs("\ntransfer of a cache line: could not be measured\n", out);
        return;
    }
    fprintf(out, "\ntransfer of a cache line: %.1f ns before, %.1f ns after\n", before, after);
    if (before > after * MOVED_BY || after > before * MOVED_BY)
        fputs("MOVED: the processors changed places during this run: not all queues gain or lose "
              "the\n"
              "same by that, so other runs have other ratios\n",
              out);
}

/* ---- main ------------------------------------------------------------------------------------ */

static void register_rows(const struct options *options, const struct bench_cores *cores)
{
    classes_register(cores, &options->bench);
    if (options->bench.compare || options->bench.negative_control)
        return;
    mirror_register(cores, &options->bench);
    mapping_register(&options->bench);
}

/* One run, or two; false if a row failed or the two differ. */
static bool run(const struct options *options, FILE *out)
{
    if (!options->repeat_check)
        return round_run(cb_report_is_wanted(), show_progress);
    bool ok = round_run(false, show_progress);
    report_remember();
    ok = round_run(cb_report_is_wanted(), show_progress) && ok;
    return report_print_repeat(out) && ok;
}

int main(int argc, char **argv)
{
    struct bench_cores cores;
    static struct options options;

    if (!take_options(&options, &argc, argv) || !take_framework_options(&options, argc, argv) ||
        !check_folder(options.plot_data))
        return EXIT_FAILURE;
    if (!bench_choose_cores(&cores, options.cpus)) {
        fprintf(stderr, "ringbench: the threads can't be pinned to --cpus=%s\n", options.cpus);
        return EXIT_FAILURE;
    }
    FILE *out = cb_report_is_wanted() ? stderr : stdout;
    register_rows(&options, &cores);
    if (!know_rows(&options))
        return EXIT_FAILURE;

    if (cb_only_lists())
        return cb_run(true, NULL) ? EXIT_SUCCESS : EXIT_FAILURE;
    describe_build();
    describe_machine(&cores);
    double line_before = describe_line(&cores);
    bool ok = run(&options, out);
    if (!options.bench.compare)
        report_print_tables(out, &cores);
    report_print_comparison(out);
    print_line_transfer(out, line_before, classes_measure_line(&cores));
    if (options.plot_data != NULL)
        ok = report_write_plots(options.plot_data) && ok;
    ok = check_ratios(&options) && ok;
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
