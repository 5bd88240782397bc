/* SPDX-License-Identifier: MIT */
#include "round.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES_MAX 128
#define ROWS_MAX    1024

static const struct row_class *classes[CLASSES_MAX];
static size_t class_count;
static struct round_row rows[ROWS_MAX];
static size_t row_count;

/* ---- registration ---------------------------------------------------------------------------- */

static void repeat_row(struct cb_state *state, uint64_t iterations, const void *context);

static const struct row_class *find_class(const char *name)
{
    for (size_t i = 0; i < class_count; i++) {
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    }
    return NULL;
}

void round_add_class(const struct row_class *row_class)
{
    if (find_class(row_class->name) != NULL)
        return;
    assert(class_count < CLASSES_MAX);
    classes[class_count++] = row_class;
}

static void name_row(char *name, const struct row_class *row_class, const char *queue)
{
    snprintf(name, ROW_NAME_BYTES, "%s/%s", row_class->name, queue);
}

const struct round_row *round_find(const char *name)
{
    for (size_t i = 0; i < row_count; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

bool round_has(const struct row_class *row_class, const char *name)
{
    char full_name[ROW_NAME_BYTES];

    name_row(full_name, row_class, name);
    return round_find(full_name) != NULL;
}

void round_add(const struct class_row *row)
{
    assert(row_count < ROWS_MAX);
    struct round_row *added = &rows[row_count++];

    round_add_class(row->of);
    added->row = *row;
    name_row(added->name, row->of, row->name);
    cb_register(&(struct cb_row){
        .name = added->name, .iterations = row->iterations, .body = repeat_row, .context = added });
}

const struct row_class *round_get_class(size_t index)
{
    return index < class_count ? classes[index] : NULL;
}

const struct round_row *round_get(size_t index)
{
    return index < row_count ? &rows[index] : NULL;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static bool share_rounds(const struct round_row *row, const struct round_row *other)
{
    const struct row_class *a = row->row.of;
    const struct row_class *b = other->row.of;

    return strcmp(a->like != NULL ? a->like : a->name, b->like != NULL ? b->like : b->name) == 0;
}

/* Room for one more sample; zeros. */
static struct sample *add_sample(struct round_row *row)
{
    unsigned count = row->sample_count;

    if (count % 64 == 0) {
        struct sample *more = realloc(row->samples, (count + 64) * sizeof *more);
        if (more == NULL) {
            fputs("ringbench: out of memory\n", stderr);
            exit(EXIT_FAILURE);
        }
        row->samples = more;
    }
    row->samples[count] = (struct sample){ 0 };
    row->sample_count = count + 1;
    return &row->samples[count];
}

/* After a failure, which is reported, the others would take time for nothing. */
static void measure_once(struct round_row *row)
{
    struct sample *sample = add_sample(row);

    if (row->unavailable)
        sample->unavailable = true;
    else if (row->failed)
        sample->fault = "an earlier repetition failed";
    else
        row->row.measure(sample, row->row.iterations, row->row.context);
    row->failed = row->failed || sample->fault != NULL;
    row->unavailable = row->unavailable || sample->unavailable;
}

/* One more sample for each row that shares the rounds of this one. */
static void hold_round(const struct round_row *row)
{
    struct round_row *members[ROWS_MAX];
    size_t first = row->sample_count; /* which moves on below */
    size_t count = 0;

    for (size_t i = 0; i < row_count; i++) {
        if ((rows[i].selected || &rows[i] == row) && share_rounds(&rows[i], row))
            members[count++] = &rows[i];
    }
    for (size_t i = 0; i < count; i++)
        measure_once(members[(first + i) % count]);
}

const double round_percents[ROUND_PERCENTILES] = { 50, 99, 99.9, 100 };

void round_add_latency(struct sample *sample, struct latency *all, const struct latency *latency)
{
    latency_merge(all, latency);
    for (size_t i = 0; i < ROUND_PERCENTILES; i++)
        sample->percentiles[i] = latency_percentile(latency, round_percents[i]) * bench_tick_ns();
}

/* What the framework calls for one repetition. */
static void repeat_row(struct cb_state *state, uint64_t iterations, const void *context)
{
    static const char *const percentile_names[ROUND_PERCENTILES] = { "p50", "p99", "p99.9", "max" };
    struct round_row *row = &rows[(const struct round_row *)context - rows];

    (void)iterations; /* those of the row */
    if (row->delivered == row->sample_count)
        hold_round(row);
    const struct sample *sample = &row->samples[row->delivered++];
    if (sample->fault != NULL) {
        cb_fail(state, sample->fault);
        return;
    }
    if (sample->unavailable) {
        cb_skip(state, "not available here");
        return;
    }
    cb_set_time(state, sample->elapsed_ns);
    if (sample->items > 0)
        cb_set_items(state, sample->items);
    if (sample->bytes > 0)
        cb_set_bytes(state, sample->bytes);
    if (sample->cut)
        cb_set_label(state, "cut short");
    else if (sample->label != NULL)
        cb_set_label(state, sample->label);
    /* Not the failed ones: where there are none, the framework would divide by their mean. */
    cb_set_counter(state, "tries", 1 + sample->failed_polls);
    for (size_t i = 0; i < ROUND_PERCENTILES && sample->percentiles[i] > 0; i++)
        cb_set_counter(state, percentile_names[i], sample->percentiles[i]);
}

bool round_run(bool reported, void (*progress)(uint64_t done, uint64_t total))
{
    for (size_t i = 0; i < row_count; i++) {
        struct round_row *row = &rows[i];
        row->sample_count = 0;
        row->delivered = 0;
        row->failed = false;
        row->unavailable = false;
        row->selected = cb_is_selected(row->name);
        if (row->row.latency != NULL)
            *row->row.latency = (struct latency){ 0 };
    }
    return cb_run(reported, progress);
}

/* ---- results --------------------------------------------------------------------------------- */

static int compare_numbers(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;

    return (*a > *b) - (*a < *b);
}

struct quartiles {
    double lower, median, upper;
};

/* Of at least one number, which are sorted by this. */
static struct quartiles find_quartiles(double *numbers, unsigned count)
{
    unsigned last = count - 1;

    qsort(numbers, count, sizeof numbers[0], compare_numbers);
    return (struct quartiles){ numbers[last / 4], numbers[last / 2], numbers[last - last / 4] };
}

#define SAMPLES_MAX 65536

/* The quartiles of value(row, other, i) over all rounds; zeros if there are none. */
typedef double sample_value(const struct round_row *row, const struct round_row *other, unsigned i);

static struct quartiles summarize(const struct round_row *row, const struct round_row *other,
                                  sample_value *value)
{
    static double numbers[SAMPLES_MAX];
    unsigned count = row->sample_count < SAMPLES_MAX ? row->sample_count : SAMPLES_MAX;

    if (count == 0 || row->failed || row->unavailable)
        return (struct quartiles){ 0 };
    for (unsigned i = 0; i < count; i++)
        numbers[i] = value(row, other, i);
    return find_quartiles(numbers, count);
}

static double value_ns(const struct round_row *row, const struct round_row *other, unsigned i)
{
    (void)other;
    return (double)row->samples[i].elapsed_ns / (double)row->row.iterations;
}

static double value_failed_polls(const struct round_row *row, const struct round_row *other,
                                 unsigned i)
{
    (void)other;
    return row->samples[i].failed_polls;
}

static double value_cut(const struct round_row *row, const struct round_row *other, unsigned i)
{
    (void)other;
    return row->samples[i].cut;
}

static double value_ratio(const struct round_row *row, const struct round_row *other, unsigned i)
{
    return value_ns(other, NULL, i) / value_ns(row, NULL, i);
}

double round_ns(const struct round_row *row)
{
    return summarize(row, NULL, value_ns).median;
}

static bool have_same_rounds(const struct round_row *row, const struct round_row *other)
{
    return share_rounds(row, other) && row->sample_count == other->sample_count;
}

double round_ratio(const struct round_row *row, const struct round_row *other)
{
    double mine = round_ns(row);
    double theirs = round_ns(other);

    if (mine <= 0 || theirs <= 0)
        return 0;
    return have_same_rounds(row, other) ? summarize(row, other, value_ratio).median : theirs / mine;
}

static double spread_of(struct quartiles quartiles)
{
    return quartiles.median > 0 ? (quartiles.upper - quartiles.lower) / quartiles.median : 0;
}

double round_spread(const struct round_row *row)
{
    return spread_of(summarize(row, NULL, value_ns));
}

double round_ratio_spread(const struct round_row *row, const struct round_row *other)
{
    if (round_ratio(row, other) <= 0 || !have_same_rounds(row, other))
        return 0;
    return spread_of(summarize(row, other, value_ratio));
}

double round_failed_polls(const struct round_row *row)
{
    return summarize(row, NULL, value_failed_polls).median;
}

bool round_was_cut(const struct round_row *row)
{
    return summarize(row, NULL, value_cut).median > 0;
}
