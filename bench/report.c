/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES_MAX  128
#define ROWS_MAX     1024
#define NAME_MAX_LEN 96

struct shown_row {
    struct class_row row;
    char name[NAME_MAX_LEN]; /* "class/queue" */
    double remembered;       /* ratio of the run before; 0: none */
};

static const struct row_class *classes[CLASSES_MAX];
static size_t class_count;
static struct shown_row rows[ROWS_MAX];
static size_t row_count;

/* ---- registration ---------------------------------------------------------------------------- */

void report_add_class(const struct row_class *row_class)
{
    for (size_t i = 0; i < class_count; i++) {
        if (classes[i] == row_class)
            return;
    }
    assert(class_count < CLASSES_MAX);
    classes[class_count++] = row_class;
}

static const struct row_class *find_class(const char *name)
{
    for (size_t i = 0; i < class_count; i++) {
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    }
    return NULL;
}

bool report_has_class(const char *name)
{
    return find_class(name) != NULL;
}

static void name_row(char *name, const struct row_class *row_class, const char *queue)
{
    snprintf(name, NAME_MAX_LEN, "%s/%s", row_class->name, queue);
}

static struct shown_row *find_row(const char *name)
{
    for (size_t i = 0; i < row_count; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

bool report_has(const struct row_class *row_class, const char *name)
{
    char full_name[NAME_MAX_LEN];

    name_row(full_name, row_class, name);
    return find_row(full_name) != NULL;
}

void report_add(const struct class_row *row)
{
    assert(row_count < ROWS_MAX);
    struct shown_row *shown = &rows[row_count++];

    report_add_class(row->of);
    shown->row = *row;
    name_row(shown->name, row->of, row->name);
    cb_register(&(struct cb_row){ .name = shown->name,
                                  .iterations = row->iterations,
                                  .body = row->body,
                                  .context = row->context });
}

/* ---- figures --------------------------------------------------------------------------------- */

/* In the unit of the class; 0 if it was not measured. */
static double figure(const struct shown_row *shown)
{
    double ns = shown != NULL ? cb_median_ns(shown->name) : 0;

    if (ns <= 0)
        return 0;
    switch (shown->row.of->unit) {
    case UNIT_ITEMS:
        return 1e3 / ns;
    case UNIT_BYTES:
        return (double)shown->row.of->bytes / ns;
    default:
        return ns;
    }
}

/* How many times better the first one is; 0 if one of the two was not measured. */
static double ratio(const struct shown_row *shown, const struct shown_row *other)
{
    double ours = figure(shown);
    double theirs = figure(other);

    if (ours <= 0 || theirs <= 0)
        return 0;
    return shown->row.of->unit == UNIT_NS ? theirs / ours : ours / theirs;
}

/* The best row of a class with the role, or NULL. */
static struct shown_row *find_best(const char *class_name, enum role role)
{
    struct shown_row *best = NULL;

    for (size_t i = 0; i < row_count; i++) {
        struct shown_row *shown = &rows[i];
        if (shown->row.role == role && figure(shown) > 0 &&
            strcmp(shown->row.of->name, class_name) == 0 &&
            (best == NULL || ratio(shown, best) > 1))
            best = shown;
    }
    return best;
}

static struct shown_row *find_competitor(const struct row_class *row_class)
{
    return find_best(row_class->like != NULL ? row_class->like : row_class->name, ROLE_COMPETITOR);
}

static struct shown_row *find_limit(const struct row_class *row_class)
{
    if (row_class->limit != NULL)
        return find_row(row_class->limit);
    return find_best(row_class->like != NULL ? row_class->like : row_class->name, ROLE_LIMIT);
}

double report_ratio(const char *class_name)
{
    const struct row_class *row_class = find_class(class_name);

    if (row_class == NULL)
        return 0;
    return ratio(find_best(class_name, ROLE_OURS), find_competitor(row_class));
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
    int decimals = number >= 100 ? 0 : number >= 10 ? 1 : 2;

    if (number > 0)
        fprintf(out, " %*.*f", width, decimals, number);
    else
        fprintf(out, " %*s", width, "-");
}

/* The better one first; what was not measured last. */
static int compare_rows(const void *left, const void *right)
{
    const struct shown_row *const *a = left;
    const struct shown_row *const *b = right;
    double of_both = ratio(*a, *b);

    if (of_both <= 0)
        return (figure(*b) > 0) - (figure(*a) > 0);
    return (of_both < 1) - (of_both > 1);
}

static int mark(const struct shown_row *shown)
{
    if (cb_median_counter(shown->name, "cut") > 0)
        return '!';
    return cb_spread(shown->name) > SPREAD_MAX ? '*' : ' ';
}

static void print_row(FILE *out, const struct shown_row *shown)
{
    const struct latency *latency = shown->row.latency;
    static const double percents[] = { 50, 99, 99.9, 100 };

    if (figure(shown) <= 0) {
        fprintf(out, "  %-21s %9s\n", shown->row.name, "failed");
        return;
    }
    fprintf(out, "  %-21s", shown->row.name);
    print_number(out, 9, figure(shown));
    fputc(mark(shown), out);
    print_number(out, 8, ratio(shown, find_competitor(shown->row.of)));
    print_number(out, 8, ratio(shown, find_limit(shown->row.of)));
    if (latency != NULL) {
        for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++)
            print_number(out, 9, latency_percentile(latency, percents[i]) * bench_tick_ns());
    } else {
        print_number(out, 9, cb_median_counter(shown->name, "failed_polls"));
    }
    fputc('\n', out);
}

static void print_table(FILE *out, const struct row_class *row_class,
                        const struct bench_cores *cores)
{
    const struct shown_row *sorted[ROWS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].row.of == row_class && cb_was_run(rows[i].name))
            sorted[count++] = &rows[i];
    }
    if (count == 0)
        return;
    qsort(sorted, count, sizeof sorted[0], compare_rows);
    fprintf(out, "\n%s: %s (%s", row_class->name, row_class->title, cores->topology);
    if (row_class->threads > cores->available)
        fprintf(out, "; %u threads on %u cores", row_class->threads, cores->available);
    fprintf(out, ")\n  %-21s %9s  %8s %8s", "", unit_names[row_class->unit], "/best", "/limit");
    if (sorted[0]->row.latency != NULL)
        fprintf(out, " %9s %9s %9s %9s\n", "p50", "p99", "p99.9", "max");
    else
        fprintf(out, " %9s\n", "retries");
    for (size_t i = 0; i < count; i++)
        print_row(out, sorted[i]);
}

void report_print_tables(FILE *out, const struct bench_cores *cores)
{
    fprintf(
        out,
        "\nMedians. /best: times as good as the best competitor; /limit: as the hardware allows;\n"
        "retries: looks in vain per item; *: the middle half of the repetitions spreads over "
        "%.0f %%;\n!: nearly stood still, and was cut short\n",
        100 * SPREAD_MAX);
    for (size_t i = 0; i < class_count; i++)
        print_table(out, classes[i], cores);
}

void report_print_comparison(FILE *out)
{
    fprintf(out, "\n%-24s %-5s %9s  %9s %-21s %7s %7s\n", "head to head", "", "mring", "best",
            "competitor", "ratio", "/limit");
    for (size_t i = 0; i < class_count; i++) {
        const struct row_class *row_class = classes[i];
        const struct shown_row *ours = find_best(row_class->name, ROLE_OURS);
        const struct shown_row *competitor = find_competitor(row_class);
        if (competitor == NULL)
            continue;
        fprintf(out, "%-24s %-5s", row_class->name, unit_names[row_class->unit]);
        print_number(out, 9, figure(ours));
        fputc(ours != NULL ? mark(ours) : ' ', out);
        print_number(out, 9, figure(competitor));
        fprintf(out, " %-21s", competitor->row.name);
        print_number(out, 7, ratio(ours, competitor));
        print_number(out, 7, ratio(ours, find_limit(row_class)));
        fputc('\n', out);
    }
}

/* ---- repetition of a run --------------------------------------------------------------------- */

#define REPEAT_TOLERANCE 0.1
#define REPEAT_SHARE     0.9

/* That of the best competitor to itself says nothing. */
static double repeated_ratio(const struct shown_row *shown)
{
    const struct shown_row *best = find_competitor(shown->row.of);

    return best == shown ? 0 : ratio(shown, best);
}

void report_remember(void)
{
    for (size_t i = 0; i < row_count; i++)
        rows[i].remembered = repeated_ratio(&rows[i]);
}

bool report_print_repeat(FILE *out)
{
    unsigned compared = 0;
    unsigned close = 0;

    fprintf(out, "\n%-40s %8s %8s\n", "ratio to the best competitor", "1st run", "2nd run");
    for (size_t i = 0; i < row_count; i++) {
        double before = rows[i].remembered;
        double now = repeated_ratio(&rows[i]);
        if (before <= 0 || now <= 0)
            continue;
        double change = now > before ? now / before - 1 : before / now - 1;
        compared++;
        close += change <= REPEAT_TOLERANCE;
        fprintf(out, "%-40s %8.3f %8.3f%s\n", rows[i].name, before, now,
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

/*
 * A block of data for each queue: its name, then a line for each class whose name matches `format`
 * with a number in it.
 */
static void write_series(FILE *file, const char *format)
{
    for (size_t i = 0; i < row_count; i++) {
        bool first = true;
        for (size_t j = 0; j < row_count; j++) {
            double x;
            int end = 0;
            if (strcmp(rows[j].row.name, rows[i].row.name) != 0 || figure(&rows[j]) <= 0 ||
                sscanf(rows[j].row.of->name, format, &x, &end) != 1 ||
                rows[j].row.of->name[end] != '\0' || end == 0)
                continue;
            if (first && j != i)
                break; /* the queue's block begins with another row */
            if (first)
                fprintf(file, "\"%s\"\n", rows[j].row.name);
            first = false;
            fprintf(file, "%g %g\n", x, figure(&rows[j]));
        }
        if (!first)
            fputs("\n\n", file);
    }
}

static void write_latencies(FILE *file, const char *class_name)
{
    static const double percents[] = { 1,  5,  10, 25,   50,   75,    90,
                                       95, 98, 99, 99.5, 99.9, 99.95, 99.99 };

    for (size_t i = 0; i < row_count; i++) {
        if (strcmp(rows[i].row.of->name, class_name) != 0 || figure(&rows[i]) <= 0 ||
            rows[i].row.latency == NULL)
            continue;
        fprintf(file, "\"%s\"\n", rows[i].row.name);
        for (size_t j = 0; j < sizeof percents / sizeof percents[0]; j++)
            fprintf(file, "%g %g\n", percents[j],
                    latency_percentile(rows[i].row.latency, percents[j]) * bench_tick_ns());
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
