/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * A row whose repetitions, or ratios, spread over more than this was disturbed by other work on its
 * cores; the tables mark it.
 */
#define SPREAD_MAX 0.2

/* ---- figures --------------------------------------------------------------------------------- */

/* In the unit of the class; 0 if it was not measured. */
static double figure(const struct round_row *row)
{
    double ns = row != NULL ? round_ns(row) : 0;

    if (ns <= 0)
        return 0;
    switch (row->row.of->unit) {
    case UNIT_ITEMS:
        return 1e3 / ns;
    case UNIT_BYTES:
        return (double)row->row.of->bytes / ns;
    default:
        return ns;
    }
}

/* How many times better the first one is; 0 if one of the two was not measured. */
static double ratio(const struct round_row *row, const struct round_row *other)
{
    return row != NULL && other != NULL ? round_ratio(row, other) : 0;
}

/* The best row of a class with the role, or NULL. */
static const struct round_row *find_best(const char *class_name, enum role role)
{
    const struct round_row *best = NULL;
    const struct round_row *row;

    for (size_t i = 0; (row = round_get(i)) != NULL; i++) {
        if (row->row.role == role && round_ns(row) > 0 &&
            strcmp(row->row.of->name, class_name) == 0 &&
            (best == NULL || round_ns(row) < round_ns(best)))
            best = row;
    }
    return best;
}

static const char *compared_with(const struct row_class *row_class)
{
    return row_class->like != NULL ? row_class->like : row_class->name;
}

static const struct round_row *find_competitor(const struct row_class *row_class)
{
    return find_best(compared_with(row_class), ROLE_COMPETITOR);
}

static const struct round_row *find_limit(const struct row_class *row_class)
{
    if (row_class->limit != NULL)
        return round_find(row_class->limit);
    return find_best(compared_with(row_class), ROLE_LIMIT);
}

double report_ratio(const char *class_name)
{
    const struct row_class *row_class;

    for (size_t i = 0; (row_class = round_get_class(i)) != NULL; i++) {
        if (strcmp(row_class->name, class_name) == 0)
            return ratio(find_best(class_name, ROLE_OURS), find_competitor(row_class));
    }
    return 0;
}

static bool has_role(const char *class_name, enum role role)
{
    const struct round_row *row;

    for (size_t i = 0; (row = round_get(i)) != NULL; i++) {
        if (row->row.role == role && strcmp(row->row.of->name, class_name) == 0 &&
            cb_is_selected(row->name))
            return true;
    }
    return false;
}

bool report_can_compare(const char *class_name)
{
    const struct row_class *row_class;

    for (size_t i = 0; (row_class = round_get_class(i)) != NULL; i++) {
        if (strcmp(row_class->name, class_name) == 0)
            return has_role(class_name, ROLE_OURS) &&
                   has_role(compared_with(row_class), ROLE_COMPETITOR);
    }
    return false;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static const char *const unit_names[] = {
    [UNIT_ITEMS] = "M/s",
    [UNIT_BYTES] = "GB/s",
    [UNIT_NS] = "ns",
};

/* Three digits or more, and no more than anybody can read anything from. */
static void print_number(FILE *out, int width, double number)
{
    int decimals = number >= 100 ? 0 : number >= 10 ? 1 : number >= 0.1 ? 2 : 3;

    if (number > 0)
        fprintf(out, " %*.*f", width, decimals, number);
    else
        fprintf(out, " %*s", width, "-");
}

/* The better one first; what was not measured last. */
static int compare_rows(const void *left, const void *right)
{
    const struct round_row *const *a = left;
    const struct round_row *const *b = right;
    double mine = round_ns(*a);
    double other = round_ns(*b);

    if (mine <= 0 || other <= 0)
        return (other > 0) - (mine > 0);
    return (mine > other) - (mine < other);
}

static void print_figure(FILE *out, const struct round_row *row)
{
    int mark = ' ';

    print_number(out, 9, figure(row));
    if (row != NULL && round_was_cut(row))
        mark = '!';
    else if (row != NULL && round_spread(row) > SPREAD_MAX)
        mark = '*';
    fputc(mark, out);
}

static void print_ratio(FILE *out, const struct round_row *row, const struct round_row *other)
{
    bool both = row != NULL && other != NULL;

    print_number(out, 8, ratio(row, other));
    fputc(both && round_ratio_spread(row, other) > SPREAD_MAX ? '*' : ' ', out);
}

static void print_row(FILE *out, const struct round_row *row)
{
    const struct latency *latency = row->row.latency;

    fprintf(out, "  %-21s", row->row.name);
    if (figure(row) <= 0) {
        fprintf(out, " %9s\n", row->unavailable ? "not here" : "failed");
        return;
    }
    print_figure(out, row);
    print_ratio(out, row, find_competitor(row->row.of));
    print_ratio(out, row, find_limit(row->row.of));
    if (latency != NULL) {
        for (size_t i = 0; i < ROUND_PERCENTILES; i++)
            print_number(out, 9, latency_percentile(latency, round_percents[i]) * bench_tick_ns());
    } else {
        print_number(out, 9, round_failed_polls(row));
    }
    fputc('\n', out);
}

/* The measured rows of the class, and those that failed, sorted. Returns their number. */
static size_t sort_rows(const struct round_row **sorted, size_t size,
                        const struct row_class *row_class)
{
    const struct round_row *row;
    size_t count = 0;

    for (size_t i = 0; (row = round_get(i)) != NULL; i++) {
        if (row->row.of == row_class && row->sample_count > 0 && count < size)
            sorted[count++] = row;
    }
    qsort(sorted, count, sizeof sorted[0], compare_rows);
    return count;
}

#define CLASS_ROWS_MAX 64

static void print_table(FILE *out, const struct row_class *row_class,
                        const struct bench_cores *cores)
{
    const struct round_row *sorted[CLASS_ROWS_MAX];
    size_t count = sort_rows(sorted, CLASS_ROWS_MAX, row_class);

    if (count == 0)
        return;
    fprintf(out, "\n%s: %s (%s", row_class->name, row_class->title, cores->topology);
    if (row_class->threads > cores->available)
        fprintf(out, "; %u threads on %u cores", row_class->threads, cores->available);
    fprintf(out, ")\n  %-21s %9s  %8s  %8s ", "", unit_names[row_class->unit], "/best", "/limit");
    if (sorted[0]->row.latency != NULL)
        fprintf(out, " %9s %9s %9s %9s\n", "p50", "p99", "p99.9", "max");
    else
        fprintf(out, " %9s\n", "retries");
    for (size_t i = 0; i < count; i++)
        print_row(out, sorted[i]);
}

void report_print_tables(FILE *out, const struct bench_cores *cores)
{
    const struct row_class *row_class;

    fprintf(
        out,
        "\nMedians. /best: times as good as the best competitor; /limit: as the hardware allows;\n"
        "retries: looks in vain per item; *: the middle half of the repetitions spreads over "
        "%.0f %%;\n!: cut short, most often since the queue nearly stands still\n",
        100 * SPREAD_MAX);
    for (size_t i = 0; (row_class = round_get_class(i)) != NULL; i++)
        print_table(out, row_class, cores);
}

static void print_comparison(FILE *out, bool with_ourselves, const char *const heads[3])
{
    const struct row_class *row_class;
    bool headed = false;

    for (size_t i = 0; (row_class = round_get_class(i)) != NULL; i++) {
        const struct round_row *ours = find_best(row_class->name, ROLE_OURS);
        const struct round_row *competitor = find_competitor(row_class);
        if (competitor == NULL || row_class->ourselves != with_ourselves)
            continue;
        if (!headed)
            fprintf(out, "\n%-24s %-5s %9s  %9s  %-21s %8s  %8s\n", heads[0], "", heads[1], "best",
                    heads[2], "ratio", "/limit");
        headed = true;
        fprintf(out, "%-24s %-5s", row_class->name, unit_names[row_class->unit]);
        print_figure(out, ours);
        print_figure(out, competitor);
        fprintf(out, " %-21s", competitor->row.name);
        print_ratio(out, ours, competitor);
        print_ratio(out, ours, find_limit(row_class));
        fputc('\n', out);
    }
}

void report_print_comparison(FILE *out)
{
    print_comparison(out, true,
                     (const char *const[]){ "worth of the mirror", "mirrored", "other" });
    print_comparison(out, false, (const char *const[]){ "head to head", "mring", "competitor" });
}

/* ---- repetition of a run --------------------------------------------------------------------- */

#define REPEAT_TOLERANCE 0.1
#define REPEAT_SHARE     0.9
#define REMEMBERED_MAX   1024

/* Of the run before, in the order of the rows; 0: none. */
static double remembered[REMEMBERED_MAX];

/* That of the best competitor to itself says nothing. */
static double repeated_ratio(const struct round_row *row)
{
    const struct round_row *best = find_competitor(row->row.of);

    return best == row ? 0 : ratio(row, best);
}

void report_remember(void)
{
    const struct round_row *row;

    for (size_t i = 0; i < REMEMBERED_MAX && (row = round_get(i)) != NULL; i++)
        remembered[i] = repeated_ratio(row);
}

bool report_print_repeat(FILE *out)
{
    const struct round_row *row;
    unsigned compared = 0;
    unsigned close = 0;

    fprintf(out, "\n%-40s %8s %8s\n", "ratio to the best competitor", "1st run", "2nd run");
    for (size_t i = 0; i < REMEMBERED_MAX && (row = round_get(i)) != NULL; i++) {
        double before = remembered[i];
        double now = repeated_ratio(row);
        if (before <= 0 || now <= 0)
            continue;
        double change = now > before ? now / before - 1 : before / now - 1;
        compared++;
        close += change <= REPEAT_TOLERANCE;
        fprintf(out, "%-40s %8.3f %8.3f%s\n", row->name, before, now,
                change <= REPEAT_TOLERANCE ? "" : "  noisy");
    }
    fprintf(out, "repeat-check: %u of %u ratios within %.0f %%\n", close, compared,
            100 * REPEAT_TOLERANCE);
    return compared > 0 && close >= REPEAT_SHARE * compared;
}

/* ---- plots ----------------------------------------------------------------------------------- */

/* NULL, with a message, if it can't be made. */
static FILE *open_data(const char *folder, const char *name)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = length > 0 && (size_t)length < sizeof path ? fopen(path, "w") : NULL;

    if (file == NULL)
        fprintf(stderr, "ringbench: %s/%s: %s\n", folder, name, strerror(errno));
    return file;
}

static bool close_data(FILE *file, const char *folder)
{
    if (fclose(file) == 0)
        return true;
    fprintf(stderr, "ringbench: %s: %s\n", folder, strerror(errno));
    return false;
}

/* Whether the class's name is the format's text with a number in it, *x, and nothing else. */
static bool has_number(const struct row_class *row_class, const char *format, double *x)
{
    int end = 0;

    return sscanf(row_class->name, format, x, &end) == 1 && end > 0 && row_class->name[end] == '\0';
}

/* One block: the queue's name, then a line for each class that it is in. */
static void write_block(FILE *file, const char *queue, const char *format)
{
    const struct round_row *row;
    double x;

    fprintf(file, "\"%s\"\n", queue);
    for (size_t i = 0; (row = round_get(i)) != NULL; i++) {
        if (strcmp(row->row.name, queue) == 0 && has_number(row->row.of, format, &x) &&
            figure(row) > 0)
            fprintf(file, "%g %g\n", x, figure(row));
    }
    fputs("\n\n", file);
}

/* A block for each queue that is in a class whose name has the format. */
static void write_series(FILE *file, const char *format)
{
    const struct round_row *row;
    const struct round_row *other;
    double x;

    for (size_t i = 0; (row = round_get(i)) != NULL; i++) {
        bool first = figure(row) > 0 && has_number(row->row.of, format, &x);
        for (size_t j = 0; j < i && first && (other = round_get(j)) != NULL; j++)
            first = strcmp(other->row.name, row->row.name) != 0 || figure(other) <= 0 ||
                    !has_number(other->row.of, format, &x);
        if (first)
            write_block(file, row->row.name, format);
    }
}

static void write_latencies(FILE *file, const char *class_name)
{
    static const double percents[] = { 1,  5,  10, 25,   50,   75,    90,
                                       95, 98, 99, 99.5, 99.9, 99.95, 99.99 };
    const struct round_row *row;

    for (size_t i = 0; (row = round_get(i)) != NULL; i++) {
        if (strcmp(row->row.of->name, class_name) != 0 || figure(row) <= 0 ||
            row->row.latency == NULL)
            continue;
        fprintf(file, "\"%s\"\n", row->row.name);
        for (size_t j = 0; j < sizeof percents / sizeof percents[0]; j++)
            fprintf(file, "%g %g\n", percents[j],
                    latency_percentile(row->row.latency, percents[j]) * bench_tick_ns());
        fputs("\n\n", file);
    }
}

bool report_write_plots(const char *folder)
{
    static const struct {
        const char *file;
        const char *format; /* of the classes; NULL: latencies */
        const char *class_name;
    } plots[] = {
        { "bytes.dat", "bytes:%lf%n", NULL },
        { "scaling.dat", "record/mpmc/%lfx%*d%n", NULL },
        { "latency.dat", NULL, "spsc/rtt" },
        { "wake.dat", NULL, "wake" },
    };

    for (size_t i = 0; i < sizeof plots / sizeof plots[0]; i++) {
        FILE *file = open_data(folder, plots[i].file);
        if (file == NULL)
            return false;
        if (plots[i].format != NULL)
            write_series(file, plots[i].format);
        else
            write_latencies(file, plots[i].class_name);
        if (!close_data(file, folder))
            return false;
    }
    return true;
}
