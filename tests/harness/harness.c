/* SPDX-License-Identifier: MIT */
/*
 * main() of a test program that is built without Criterion.
 *
 *     unit_ring                          run all tests, one after the other
 *     unit_ring --filter 'suite/name'    only these; * and ? stand for any characters, for one
 *     unit_ring --timeout 60             seconds for each test that has no timeout of its own
 *     unit_ring --patience 4             so many times as long for each test, if emulated
 *     unit_ring --verbose                name those that pass, too
 *     unit_ring -j2                      accepted, as Criterion's
 *
 * The last line says "N passed, N failed, N skipped". The exit code is 0 when none has failed, 1
 * when one has or none was there to run, 2 for a mistake in the arguments.
 *
 * The exit code of a test's process is its verdict, so that nothing but its end has to be watched,
 * and a sanitizer's complaint at the end counts as well.
 */
#include "criterion/criterion.h"
#include "process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

enum verdict {
    PASSED = 100, /* not 0, with which a test could end by itself */
    FAILED,
    SKIPPED,
};

static struct {
    const char *filter;
    double timeout;
    double patience;
    bool verbose;
} options = { .filter = "*", .patience = 1 };

/* ---- the list of tests ----------------------------------------------------------------------- */

static struct cr_test_ *tests;
static struct cr_test_ *suites;

/* By line: not every system runs constructors in the order of their file. */
void cr_add_test_(struct cr_test_ *test)
{
    struct cr_test_ **link = &tests;

    while (*link != NULL && (*link)->line < test->line)
        link = &(*link)->next;
    test->next = *link;
    *link = test;
}

void cr_add_suite_(struct cr_test_ *suite)
{
    suite->next = suites;
    suites = suite;
}

/* "suite/name" */
static void write_name(char name[400], const struct cr_test_ *test)
{
    snprintf(name, 400, "%s/%s", test->suite, test->name);
}

static const struct cr_test_ *find(const char *wanted)
{
    for (const struct cr_test_ *test = tests; test != NULL; test = test->next) {
        char name[400];

        write_name(name, test);
        if (strcmp(name, wanted) == 0)
            return test;
    }
    return NULL;
}

static const struct cr_options_ *suite_of(const struct cr_test_ *test)
{
    static const struct cr_options_ none = { 0 };

    for (const struct cr_test_ *suite = suites; suite != NULL; suite = suite->next)
        if (strcmp(suite->suite, test->suite) == 0)
            return &suite->options;
    return &none;
}

/* ---- inside the process of a test ------------------------------------------------------------ */

static jmp_buf end_of_test;
static _Thread_local bool own_thread; /* in the thread that may jump there */
static atomic_bool failed;
static atomic_bool skipped;

/* One line in one piece, for the threads of a test may fail together. */
static void say(const char *what, const char *format, va_list values)
{
    char message[2000] = "";

    if (format != NULL)
        vsnprintf(message, sizeof message, format, values);
    printf("%s%s%s\n", what, format != NULL ? ": " : "", message);
    fflush(stdout);
}

void cr_fail_(const char *file, int line, const char *text, const char *format, ...)
{
    char what[2000];
    va_list values;

    failed = true;
    snprintf(what, sizeof what, "%s:%d: %s", file, line, text);
    va_start(values, format);
    say(what, format, values);
    va_end(values);
}

void cr_stop_(void)
{
    if (!own_thread)
        process_quit(failed ? FAILED : SKIPPED);
    longjmp(end_of_test, 1);
}

void cr_skip_test(const char *format, ...)
{
    va_list values;

    skipped = true;
    va_start(values, format);
    say("skipped", format, values);
    va_end(values);
    cr_stop_();
}

static void call(void (*function)(void))
{
    if (function != NULL)
        function();
}

static int run_here(const char *name)
{
    const struct cr_test_ *test = find(name);

    if (test == NULL)
        return FAILED;
    const struct cr_options_ *suite = suite_of(test);
    own_thread = true;
    if (setjmp(end_of_test) == 0) {
        call(suite->init);
        call(test->options.init);
        test->body();
    }
    if (setjmp(end_of_test) == 0) {
        call(test->options.fini);
        call(suite->fini);
    }
    return failed ? FAILED : skipped ? SKIPPED : PASSED;
}

/* ---- in the process of main() ---------------------------------------------------------------- */

static enum verdict run(const struct cr_test_ *test, const char *name)
{
    double seconds = test->options.timeout;

    if (seconds == 0)
        seconds = suite_of(test)->timeout;
    if (seconds == 0)
        seconds = options.timeout;
    seconds *= options.patience;
    struct process_end end = process_run(run_here, name, seconds);

    if (end.how == PROCESS_EXITED && end.code >= PASSED && end.code <= SKIPPED)
        return (enum verdict)end.code;
    if (end.how == PROCESS_EXITED)
        printf("it ended by itself, with exit code %d\n", end.code);
    else if (end.how == PROCESS_SIGNALLED)
        printf("it was killed by signal %d\n", end.code);
    else
        printf("it was not done after %g s\n", seconds);
    return FAILED;
}

static bool matches(const char *pattern, const char *text)
{
    if (*pattern == '*')
        return matches(pattern + 1, text) || (*text != '\0' && matches(pattern, text + 1));
    if (*pattern == '\0' || *text == '\0')
        return *pattern == *text;
    return (*pattern == '?' || *pattern == *text) && matches(pattern + 1, text + 1);
}

static void parse(char **arguments)
{
    for (char **next = arguments + 1; *next != NULL; next++) {
        if (strcmp(*next, "--verbose") == 0)
            options.verbose = true;
        else if (strcmp(*next, "--filter") == 0 && next[1] != NULL)
            options.filter = *++next;
        else if (strcmp(*next, "--timeout") == 0 && next[1] != NULL)
            options.timeout = atof(*++next);
        else if (strcmp(*next, "--patience") == 0 && next[1] != NULL)
            options.patience = atof(*++next);
        else if (strncmp(*next, "-j", 2) != 0) {
            fprintf(stderr,
                    "usage: %s [--filter SUITE/NAME] [--timeout SECONDS] [--patience FACTOR] "
                    "[--verbose]\n",
                    arguments[0]);
            exit(2);
        }
    }
}

int main(int count, char **arguments)
{
    unsigned passed = 0, failures = 0, skips = 0;

    (void)count;
    process_begin(arguments, run_here);
    parse(arguments);
    for (struct cr_test_ *test = tests; test != NULL; test = test->next) {
        char name[400];

        write_name(name, test);
        if (!matches(options.filter, name))
            continue;
        enum verdict verdict = run(test, name);

        passed += verdict == PASSED;
        failures += verdict == FAILED;
        skips += verdict == SKIPPED;
        if (verdict != PASSED || options.verbose)
            printf("%s %s\n",
                   verdict == PASSED   ? "[PASS]"
                   : verdict == FAILED ? "[FAIL]"
                                       : "[SKIP]",
                   name);
    }
    printf("%u passed, %u failed, %u skipped\n", passed, failures, skips);
    return failures > 0 || passed + skips == 0;
}
