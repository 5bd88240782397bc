/* SPDX-License-Identifier: MIT */
/*
 * Copy a stream from one process to another through a named ring.
 *
 *      ringcat -w TAG < in       write standard input into the ring
 *      ringcat -r TAG > out      write the ring to standard output, remove the name at the end
 *
 * Either side may start first, and either may be killed and started again:
 *
 *      ringcat -c -w TAG < in
 *      ringcat -c -r TAG 1<> out
 *
 * What was committed and not consumed is still in the ring, and its positions count all bytes of
 * the stream since the ring was made. So a successor seeks its file to the position of its end and
 * goes on: the writer reads on where the ring's bytes end, the reader writes once more, at the same
 * place, what its predecessor wrote and did not live to give back. Nothing is lost or doubled. 1<>
 * opens the file for writing without emptying it, as > would, or appending to it, as >> would. The
 * stream has to begin at the start of both files. A successor that finds no stream fails, although
 * its predecessor may have died when all was done.
 * Until its successor comes, the other side waits. A stream that nobody wants to go on with is
 * ended by removing /dev/shm/TAG and the process that waits.
 *
 * Standard input is read straight into the ring and standard output written straight from it: each
 * byte is copied once in and once out, by the kernel.
 *
 * Options: -c        go on with a stream that has begun; there has to be one
 *          -s BYTES  capacity of the ring (default 1 MiB), used by the side that creates it
 *          -q        do not print bytes per second
 * Exit status: 0, or 1 when this or the other side failed, or 2 for wrong usage.
 */
#define _POSIX_C_SOURCE 200809L

#include <mring.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One system call moves at most this much, so that the two sides work at the same time. */
#define CHUNK_BYTES ((size_t)512 << 10)

enum { STATUS_DONE = 0, STATUS_FAILED = 1 };

struct options {
    const char *tagname;
    uint64_t capacity;
    bool reader, resume, quiet;
};

static int complain(const char *step, int err)
{
    char message[128];

    fprintf(stderr, "ringcat: %s: %s\n", step, mring_errmsg(err, message, sizeof message));
    return 1;
}

static size_t at_most(size_t size, size_t limit)
{
    return size < limit ? size : limit;
}

/* Fill the ring from standard input. Returns the exit status; the close tells the reader. */
static int copy_in(struct mring_spsc *ring, uint64_t *total)
{
    size_t chunk = at_most(CHUNK_BYTES, mring_spsc_capacity(ring) / 2);

    for (;;) {
        int err = mring_spsc_wait_writable(ring, chunk, -1);
        if (err == MRING_CLOSED)
            return complain("the reader is gone", err);
        if (err != 0) {
            mring_spsc_close(ring, MRING_WRITE_END, STATUS_FAILED);
            return complain("wait for room", err);
        }

        ssize_t size = read(STDIN_FILENO, mring_spsc_reserve(ring, chunk), chunk);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0) {
            complain("read standard input", errno);
            mring_spsc_close(ring, MRING_WRITE_END, STATUS_FAILED);
            return 1;
        }
        if (size == 0) {
            mring_spsc_close(ring, MRING_WRITE_END, STATUS_DONE);
            return 0;
        }
        mring_spsc_commit(ring, (size_t)size);
        *total += (uint64_t)size;
    }
}

/* What the end of the stream means: the writer's own exit status. */
static int end_of_stream(struct mring_spsc *ring)
{
    uint32_t status = STATUS_FAILED;

    mring_spsc_is_closed(ring, MRING_WRITE_END, &status);
    mring_spsc_close(ring, MRING_READ_END, status); /* a second writer would wait for ever */
    if (status != STATUS_DONE)
        fprintf(stderr, "ringcat: the writer failed\n");
    return status == STATUS_DONE ? 0 : 1;
}

/* Empty the ring to standard output. */
static int copy_out(struct mring_spsc *ring, uint64_t *total)
{
    for (;;) {
        size_t size;
        int err = mring_spsc_wait_readable(ring, 1, -1);
        if (err == MRING_EOF)
            return end_of_stream(ring);
        if (err != 0) {
            mring_spsc_close(ring, MRING_READ_END, STATUS_FAILED);
            return complain("wait for data", err);
        }

        const void *bytes = mring_spsc_peek(ring, 1, &size);
        ssize_t written = write(STDOUT_FILENO, bytes, at_most(size, CHUNK_BYTES));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            complain("write standard output", errno);
            mring_spsc_close(ring, MRING_READ_END, STATUS_FAILED);
            return 1;
        }
        mring_spsc_consume(ring, (size_t)written);
        *total += (uint64_t)written;
    }
}

static int refuse(const struct options *options, const char *reason)
{
    fprintf(stderr, "ringcat: %s: %s\n", options->tagname, reason);
    return 1;
}

/* -c: go to where the ring's read position is in the output file. */
static int seek_output(const struct mring_spsc *ring, const struct options *options)
{
    uint64_t read_pos = mring_spsc_position(ring, MRING_READ_END);
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    struct stat output;

    if (flags < 0 || fstat(STDOUT_FILENO, &output) != 0)
        return complain("-c: standard output", errno);
    if (!S_ISREG(output.st_mode) || (flags & O_APPEND) || (uint64_t)output.st_size < read_pos)
        return refuse(options, "standard output is not the file written so far, opened by 1<>");
    if (lseek(STDOUT_FILENO, (off_t)read_pos, SEEK_SET) < 0)
        return complain("-c: seek in standard output", errno);
    return 0;
}

/* -c: go to where the ring's write position is in the input file. */
static int seek_input(const struct mring_spsc *ring, const struct options *options)
{
    uint64_t write_pos = mring_spsc_position(ring, MRING_WRITE_END);
    struct stat input;

    if (fstat(STDIN_FILENO, &input) != 0)
        return complain("-c: standard input", errno);
    if (!S_ISREG(input.st_mode) || (uint64_t)input.st_size < write_pos)
        return refuse(options, "standard input is not the file that was read so far");
    if (lseek(STDIN_FILENO, (off_t)write_pos, SEEK_SET) < 0)
        return complain("-c: seek in standard input", errno);
    return 0;
}

/* -c: what the file had behind the end of this stream is not part of it. */
static int cut_output(const struct mring_spsc *ring)
{
    if (ftruncate(STDOUT_FILENO, (off_t)mring_spsc_position(ring, MRING_READ_END)) != 0)
        return complain("-c: cut standard output", errno);
    return 0;
}

static const char has_begun[] = "the stream has begun already; -c goes on with it";
static const char has_ended[] = "the stream has ended already";

static int write_ring(struct mring_spsc *ring, const struct options *options, uint64_t *total)
{
    uint32_t status = STATUS_FAILED;

    /* The stream has ended; with -c it is ours, and all of it is in the ring. */
    if (mring_spsc_is_closed(ring, MRING_WRITE_END, &status))
        return options->resume && status == STATUS_DONE ? 0 : refuse(options, has_ended);
    if (!options->resume && mring_spsc_position(ring, MRING_WRITE_END) != 0)
        return refuse(options, has_begun);
    if (options->resume && seek_input(ring, options) != 0)
        return 1;
    return copy_in(ring, total);
}

/* The name goes when the stream has ended, well or badly: nobody will need it again. */
static int read_ring(struct mring_spsc *ring, const struct options *options, uint64_t *total)
{
    uint32_t status = STATUS_FAILED;
    bool is_over = mring_spsc_is_closed(ring, MRING_READ_END, &status);

    /* With -c, a predecessor that died just now has left the last steps to us. */
    if (is_over && !(options->resume && status == STATUS_DONE))
        return refuse(options, has_ended);
    if (!options->resume && mring_spsc_position(ring, MRING_READ_END) != 0)
        return refuse(options, has_begun);
    if (options->resume && seek_output(ring, options) != 0)
        return 1;
    int result = is_over ? 0 : copy_out(ring, total);
    if (options->resume && result == 0)
        result = cut_output(ring);
    int err = mmap_unlink(options->tagname);
    return err != 0 ? complain("remove the name", err) : result;
}

static void print_speed(const struct options *options, uint64_t total, int64_t elapsed_ns)
{
    double seconds = (double)elapsed_ns / 1e9;

    if (!options->quiet)
        fprintf(stderr, "ringcat: %s %llu bytes in %.3f s, %.0f MB/s\n",
                options->reader ? "read" : "wrote", (unsigned long long)total, seconds,
                (double)total / 1e6 / seconds);
}

/* The smallest capacity for a number of bytes; 0 when that is not a number, or too large. */
static uint64_t parse_capacity(const char *text)
{
    char *end;

    errno = 0;
    unsigned long long bytes = strtoull(text, &end, 0);
    bool is_number = end != text && *end == '\0' && strchr(text, '-') == NULL && errno == 0;
    return is_number && bytes > 0 ? mring_capacity(bytes, 0) : 0;
}

static int parse(struct options *options, int argc, char **argv)
{
    int option, sides = 0;

    while ((option = getopt(argc, argv, "wrcqs:")) != -1) {
        switch (option) {
        case 'w':
        case 'r':
            options->reader = option == 'r';
            sides++;
            break;
        case 'c':
            options->resume = true;
            break;
        case 'q':
            options->quiet = true;
            break;
        case 's':
            options->capacity = parse_capacity(optarg);
            break;
        default:
            return -1;
        }
    }
    if (sides != 1 || optind != argc - 1 || options->capacity == 0)
        return -1;
    options->tagname = argv[optind];
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = { .capacity = 1 << 20 };
    struct mring_spsc ring;
    uint64_t total = 0;

    if (parse(&options, argc, argv) != 0) {
        fprintf(stderr, "usage: ringcat -w|-r [-c] [-q] [-s BYTES] TAG\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* an error of write(), which the writer must hear of */
    int err = mring_spsc_open(&ring, &(struct mring_args){
                                         .tagname = options.tagname,
                                         .capacity = options.resume ? 0 : options.capacity,
                                         .flags = MRING_ANY_CAPACITY,
                                         .type_tag = "ringcat stream",
                                     });
    if (err == MMAP_NOT_FOUND)
        return refuse(&options, "the stream is over or has not begun");
    if (err != 0)
        return complain(options.tagname, err);

    int64_t start = mring_os_now();
    int result =
        options.reader ? read_ring(&ring, &options, &total) : write_ring(&ring, &options, &total);
    print_speed(&options, total, mring_os_now() - start);
    mring_spsc_destroy(&ring);
    return result;
}
