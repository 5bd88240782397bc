/* SPDX-License-Identifier: MIT */
/*
 * A log that never keeps its callers waiting: many threads write lines, one thread writes the file.
 *
 *      async_log FILE [THREADS [LINES]]    each thread logs so many lines; default: 4, 50,000
 *
 * A line is formatted in the ring's own memory: reserve as much as a line may take, print there,
 * and commit what that came to. The writer claims as many lines as are there, and writes them by
 * one writev() from where they are: between the caller's printf and the kernel no byte is copied.
 * The price is room: what a line did not need comes back with the line, and no sooner. A log that
 * would rather copy than drop prints to its stack, and pushes.
 *
 * When the disk is slower than the callers, the ring gets full. Then lines are dropped and counted,
 * and the writer says in the log how many are missing, where they are missing. Whoever must not
 * lose a line calls mring_mpmc_reserve_wait() instead, and waits.
 */
#define _GNU_SOURCE

#include <mring.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define LINE_BYTES  200 /* the longest line; what is longer is cut */
#define BATCH       256 /* lines per system call */
#define THREADS_MAX 64

struct log {
    struct mring_mpmc ring;
    mring_atomic_u32 dropped; /* lines that found no room */
    uint32_t reported;        /* of them, so many are told of in the file */
    uint64_t written;         /* lines */
    int fd;
};

/* ---- the callers' side ----------------------------------------------------------------------- */

/* Log a line, or drop it. Never sleeps, except that it may have to wake the writer. */
__attribute__((format(printf, 3, 4))) static bool log_line(struct log *log,
                                                           struct mring_mpmc_end *out,
                                                           const char *format, ...)
{
    char *room = mring_mpmc_reserve(out, LINE_BYTES);
    va_list values;

    if (room == NULL) {
        mring_add_release_u32(&log->dropped, 1);
        return false;
    }
    va_start(values, format);
    int length = vsnprintf(room, LINE_BYTES, format, values);
    va_end(values);
    size_t size = length < 0 ? 0 : length < LINE_BYTES ? (size_t)length : LINE_BYTES - 1;
    room[size] = '\n'; /* in place of the 0 */
    mring_mpmc_commit(out, size + 1);
    return true;
}

/* ---- the writer's side ----------------------------------------------------------------------- */

/* Write all of some vectors, however many calls that takes. */
static void write_all(int fd, struct iovec *vectors, int count)
{
    while (count > 0) {
        ssize_t moved = writev(fd, vectors, count);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved < 0) {
            perror("async_log");
            exit(1);
        }
        for (; count > 0 && (size_t)moved >= vectors->iov_len; vectors++, count--)
            moved -= (ssize_t)vectors->iov_len;
        if (count > 0) {
            vectors->iov_base = (char *)vectors->iov_base + moved;
            vectors->iov_len -= (size_t)moved;
        }
    }
}

static void report_dropped(struct log *log)
{
    /* Relaxed: a number by itself. What is dropped from now on is reported the next time. */
    uint32_t dropped = mring_load_relaxed_u32(&log->dropped);
    char line[64];

    if (dropped == log->reported)
        return;
    int size = snprintf(line, sizeof line, "(%u lines dropped)\n", dropped - log->reported);
    write_all(log->fd, &(struct iovec){ line, (size_t)size }, 1);
    log->reported = dropped;
}

/* Write what is there, as it comes, until the log is closed and all has been written. */
static void *write_lines(void *argument)
{
    struct log *log = argument;
    struct mring_mpmc_end in;
    struct mring_claim claim;
    size_t count;

    if (mring_mpmc_join(&log->ring, &in, MRING_READ_END) != 0)
        abort();
    while (mring_mpmc_claim_wait(&in, &claim, BATCH, &count, -1) == 0) {
        struct iovec lines[BATCH];

        for (size_t i = 0; i < count; i++)
            lines[i].iov_base = mring_mpmc_next(&in, &claim, &lines[i].iov_len);
        write_all(log->fd, lines, (int)count);
        mring_mpmc_release(&in, &claim);
        log->written += count;
        report_dropped(log);
    }
    mring_mpmc_leave(&in);
    report_dropped(log);
    fsync(log->fd);
    return NULL;
}

static int open_log(struct log *log, const char *path)
{
    const struct mring_args args = { .capacity = mring_capacity(1 << 20, 0),
                                     .flags = MRING_SINGLE_CONSUMER };

    *log = (struct log){ .fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) };
    return log->fd < 0 ? errno : mring_mpmc_create(&log->ring, &args);
}

/* Tell the writer that nothing comes any more, and wait until it has written what came. */
static void close_log(struct log *log, pthread_t writer)
{
    mring_mpmc_close(&log->ring, MRING_WRITE_END, 0);
    pthread_join(writer, NULL);
    mring_mpmc_destroy(&log->ring);
    close(log->fd);
}

/* ---- a program that logs --------------------------------------------------------------------- */

struct caller {
    struct log *log;
    unsigned number;
    unsigned lines;
    unsigned logged; /* of them, so many were not dropped */
};

static void *run_caller(void *argument)
{
    struct caller *caller = argument;
    struct mring_mpmc_end out;

    if (mring_mpmc_join(&caller->log->ring, &out, MRING_WRITE_END) != 0)
        abort();
    for (unsigned i = 1; i <= caller->lines; i++)
        caller->logged += log_line(caller->log, &out, "thread %u line %u: %.*s", caller->number, i,
                                   (int)(i % 100), "the quick brown fox jumps over the lazy dog");
    mring_mpmc_leave(&out);
    return NULL;
}

int main(int argc, char **argv)
{
    const unsigned asked_for = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 4;
    const unsigned threads = asked_for < THREADS_MAX ? asked_for : THREADS_MAX;
    const unsigned lines = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 50000;
    struct caller callers[THREADS_MAX];
    pthread_t ids[THREADS_MAX], writer;
    uint64_t logged = 0;
    struct log log;

    if (argc < 2) {
        fprintf(stderr, "usage: async_log FILE [THREADS [LINES]]\n");
        return 2;
    }
    int err = open_log(&log, argv[1]);
    if (err != 0) {
        char message[128];
        fprintf(stderr, "async_log: %s: %s\n", argv[1], mring_errmsg(err, message, sizeof message));
        return 1;
    }
    if (pthread_create(&writer, NULL, write_lines, &log) != 0)
        abort();
    for (unsigned i = 0; i < threads; i++) {
        callers[i] = (struct caller){ .log = &log, .number = i, .lines = lines };
        if (pthread_create(&ids[i], NULL, run_caller, &callers[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        logged += callers[i].logged;
    }
    close_log(&log, writer);
    printf("%llu lines written, %u dropped\n", (unsigned long long)log.written, log.reported);
    return log.written == logged && log.written + log.reported == (uint64_t)threads * lines ? 0 : 1;
}
