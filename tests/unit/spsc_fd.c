/* SPDX-License-Identifier: MIT */
/* Byte rings: moving bytes between a ring and a descriptor. */
#define _GNU_SOURCE

#include "ring_support.h"

#include <criterion/criterion.h>
#include <mring/spsc.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

/* What `moved` is before a call; an error leaves it. */
#define UNTOUCHED ((size_t)987654321)

TestSuite(mring_spsc_fill, .init = support_begin, .fini = support_end);
TestSuite(mring_spsc_drain, .init = support_begin, .fini = support_end);

/* Whether the ring has exactly the bytes from `pos` on. */
static bool ring_has(struct mring_spsc *ring, uint64_t pos, size_t size)
{
    size_t there;

    if (mring_spsc_readable(ring) != size)
        return false;
    return size == 0 || support_has_bytes(mring_spsc_peek(ring, size, &there), pos, size);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* Each end of a test's connection; what goes into `in` comes out of `out`. */
struct channel {
    int out, in;
    bool socket; /* moved by fill_recv and drain_send */
};

enum kind { PIPE, STREAM, STREAM_AS_FILE, ALL_KINDS };

/* Sockets are no descriptors of the C runtime on Windows. */
#define KINDS (support_is_windows ? (int)STREAM_AS_FILE : (int)ALL_KINDS)

/* The first that can be full. There a pipe does not say so in a way that programs could rely on. */
#define FIRST_FULL (support_is_windows ? STREAM : PIPE)

static const char *const kind_names[] = { "pipe", "stream", "stream by read and write" };

static struct channel new_channel(enum kind kind, bool nonblocking)
{
    int fds[2];

    if (kind == PIPE)
        cr_assert_eq(pipe2(fds, nonblocking ? O_NONBLOCK : 0), 0);
    else
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0), 0, fds),
                     0);
    return (struct channel){ .out = fds[0], .in = fds[1], .socket = kind == STREAM };
}

/* A channel that keeps the bounds of what is sent: one system call is one packet. */
static struct channel new_packets(void)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
    return (struct channel){ .out = fds[0], .in = fds[1] };
}

static void close_channel(const struct channel *channel)
{
    close(channel->out);
    close(channel->in);
}

static int fill(struct mring_spsc *ring, const struct channel *channel, size_t most, size_t *moved)
{
    return channel->socket ? mring_spsc_fill_recv(ring, channel->out, most, 0, moved)
                           : mring_spsc_fill_read(ring, channel->out, most, moved);
}

static int drain(struct mring_spsc *ring, const struct channel *channel, size_t most, size_t *moved)
{
    return channel->socket ? mring_spsc_drain_send(ring, channel->in, most, 0, moved)
                           : mring_spsc_drain_write(ring, channel->in, most, moved);
}

/* Bytes that a descriptor has for its reader. */
static size_t pending(int fd)
{
    int count = -1;

    cr_assert_eq(ioctl(fd, FIONREAD, &count), 0);
    return (size_t)count;
}

static void write_in(const struct channel *channel, uint64_t pos, size_t size)
{
    cr_assert_eq(write(channel->in, bytes_at(pos, size), size), (ssize_t)size);
}

/* Whether exactly these bytes come out. */
static bool comes_out(const struct channel *channel, uint64_t pos, size_t size)
{
    static unsigned char bytes[1 << 20];

    return read(channel->out, bytes, sizeof bytes) == (ssize_t)size &&
           support_has_bytes(bytes, pos, size);
}

/* ---- fill ------------------------------------------------------------------------------------ */

Test(mring_spsc_fill, moves_what_the_descriptor_has, .timeout = 5)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)kind, true);
        const uint64_t start = 3 * smallest() - 50; /* over the end, in one call */
        size_t moved = UNTOUCHED;
        start_at(&ring, start);
        write_in(&channel, start, 100);

        cr_expect_eq(fill(&ring, &channel, SIZE_MAX, &moved), 0, "%s", kind_names[kind]);

        cr_expect_eq(moved, 100, "%s", kind_names[kind]);
        cr_expect(ring_has(&ring, start, 100), "%s", kind_names[kind]);
        cr_expect_eq(pending(channel.out), 0, "%s", kind_names[kind]);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_fill, reads_a_large_file_once_and_as_far_as_there_is_room, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    size_t moved = UNTOUCHED;
    const char *path = support_path("large");
    support_write_file(path, 3 * capacity);
    int fd = open(path, O_RDONLY);
    cr_assert_geq(fd, 0);

    cr_expect_eq(mring_spsc_fill_read(&ring, fd, SIZE_MAX, &moved), 0);
    cr_expect_eq(moved, capacity);
    cr_expect_eq(lseek(fd, 0, SEEK_CUR), (off_t)capacity);
    cr_expect(ring_has(&ring, 0, capacity));

    drop_bytes(&ring, 100);
    cr_expect_eq(mring_spsc_fill_read(&ring, fd, SIZE_MAX, &moved), 0, "it looks for room");
    cr_expect_eq(moved, 100);
    cr_expect(ring_has(&ring, 100, capacity));
    close(fd);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_fill, uses_all_the_room_and_not_only_what_was_known, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    struct channel channel = new_channel(PIPE, true);
    size_t moved = UNTOUCHED;
    write_bytes(&ring, capacity - 10);
    drop_bytes(&ring, capacity - 10);
    write_in(&channel, capacity - 10, 60);

    cr_expect_eq(fill(&ring, &channel, SIZE_MAX, &moved), 0);

    cr_expect_eq(moved, 60, "the producer knew of 10");
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_fill, makes_one_system_call, .timeout = 5)
{
    for (int socket = support_is_windows; socket < 2; socket++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_packets();
        size_t moved = UNTOUCHED;
        channel.socket = socket;
        write_in(&channel, 0, 10);
        write_in(&channel, 10, 20);

        cr_expect_eq(fill(&ring, &channel, SIZE_MAX, &moved), 0);
        cr_expect_eq(moved, 10, "one packet");
        cr_expect_eq(fill(&ring, &channel, SIZE_MAX, &moved), 0);
        cr_expect_eq(moved, 20, "the next one");

        cr_expect(ring_has(&ring, 0, 30));
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_fill, moves_not_more_than_most, .timeout = 5)
{
    static const struct {
        size_t most, moved;
    } rows[] = { { 1, 1 }, { 7, 7 }, { 100, 100 }, { 101, 100 }, { SIZE_MAX, 100 } };

    for (size_t i = 0; i < ROWS(rows) * KINDS; i++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)(i % KINDS), true);
        size_t row = i / KINDS, moved = UNTOUCHED;
        write_in(&channel, 0, 100);

        cr_expect_eq(fill(&ring, &channel, rows[row].most, &moved), 0, "row %zu", row);

        cr_expect_eq(moved, rows[row].moved, "row %zu", row);
        cr_expect(ring_has(&ring, 0, rows[row].moved), "row %zu", row);
        cr_expect_eq(pending(channel.out), 100 - rows[row].moved, "row %zu", row);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

/* A call that must fail and must have done nothing. */
static void expect_fill_fails(struct mring_spsc *ring, const struct channel *channel, size_t most,
                              int err, const char *what)
{
    size_t moved = UNTOUCHED;
    uint64_t before = mring_spsc_position(ring, MRING_WRITE_END);

    int got = fill(ring, channel, most, &moved);

    cr_expect_eq(got, err, "%s: %s", what, mring_errname(got));
    cr_expect_eq(moved, UNTOUCHED, "%s", what);
    cr_expect_eq(mring_spsc_position(ring, MRING_WRITE_END), before, "%s", what);
}

Test(mring_spsc_fill, fails_with_invalid_arg_when_most_is_0, .timeout = 5)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)kind, true);
        write_in(&channel, 0, 10);

        expect_fill_fails(&ring, &channel, 0, MMAP_INVALID_ARG, kind_names[kind]);

        cr_expect_eq(pending(channel.out), 10, "%s", kind_names[kind]);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_fill, fails_with_full_before_it_touches_the_descriptor, .timeout = 5)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)kind, true);
        write_in(&channel, 0, 10);
        write_bytes(&ring, smallest());

        expect_fill_fails(&ring, &channel, 5, MRING_FULL, kind_names[kind]);

        cr_expect_eq(pending(channel.out), 10, "%s", kind_names[kind]);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_fill, fails_with_corrupt_when_the_position_is_impossible, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_channel(PIPE, true);
    write_in(&channel, 0, 10);
    write_bytes(&ring, smallest());
    mring_store_release_u64(&ring.read_side->pos, smallest() + 1);

    expect_fill_fails(&ring, &channel, 5, MRING_CORRUPT, "ahead of the producer");

    cr_expect_eq(pending(channel.out), 10);
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_fill, fails_with_would_block_when_the_descriptor_has_nothing, .timeout = 5)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)kind, true);

        expect_fill_fails(&ring, &channel, 5, MRING_WOULD_BLOCK, kind_names[kind]);

        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_fill, fails_with_eof_at_the_end_and_leaves_the_ring_open, .timeout = 5)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)kind, false);
        size_t moved;
        write_in(&channel, 0, 10);
        close(channel.in);
        cr_expect_eq(fill(&ring, &channel, 50, &moved), 0, "%s", kind_names[kind]);

        expect_fill_fails(&ring, &channel, 50, MRING_EOF, kind_names[kind]);
        expect_fill_fails(&ring, &channel, 50, MRING_EOF, kind_names[kind]);

        cr_expect_not(mring_spsc_is_closed(&ring, MRING_WRITE_END, NULL), "%s", kind_names[kind]);
        cr_expect(mring_spsc_push(&ring, "x", 1), "%s", kind_names[kind]);
        close(channel.out);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_fill, fails_with_eof_at_the_end_of_a_file, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const char *path = support_path("small");
    size_t moved = UNTOUCHED;
    support_write_file(path, 10);
    struct channel file = { .out = open(path, O_RDONLY) };

    cr_expect_eq(fill(&ring, &file, SIZE_MAX, &moved), 0);
    cr_expect_eq(moved, 10);

    expect_fill_fails(&ring, &file, SIZE_MAX, MRING_EOF, "file");
    close(file.out);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_fill, fails_with_closed_when_either_end_of_the_ring_was_closed, .timeout = 5)
{
    for (int end = MRING_WRITE_END; end <= MRING_READ_END; end++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel(STREAM, true);
        write_in(&channel, 0, 10);

        mring_spsc_close(&ring, (enum mring_end)end, 0);

        expect_fill_fails(&ring, &channel, 5, MRING_CLOSED, "closed");
        cr_expect_eq(pending(channel.out), 10, "end %d", end);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_fill, fails_with_the_code_of_the_system_and_moves_nothing, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel pipe_channel = new_channel(PIPE, true), stream = new_channel(STREAM, true);
    struct channel folder = { .out = open("/", O_RDONLY | O_DIRECTORY) };
    write_in(&pipe_channel, 0, 10);
    cr_assert_eq(write(stream.out, "unread", 6), 6);
    close(stream.in); /* with something unread: the connection is reset */
    const struct {
        struct channel channel;
        int err;
        const char *what;
    } rows[] = {
        { { .out = -1 }, EBADF, "no descriptor" },
        { { .out = -1, .socket = true }, EBADF, "no socket" },
        { { .out = pipe_channel.in }, EBADF, "an end that only writes" },
        { { .out = pipe_channel.out, .socket = true }, ENOTSOCK, "a pipe" },
        { folder, EISDIR, "a folder" },
        { stream, ECONNRESET, "a socket that was reset" },
    };

    for (size_t i = 0; i < ROWS(rows); i++)
        expect_fill_fails(&ring, &rows[i].channel, 5, rows[i].err, rows[i].what);

    cr_expect_eq(mring_spsc_readable(&ring), 0);
    cr_expect_eq(pending(pipe_channel.out), 10);
    close_channel(&pipe_channel);
    close(stream.out);
    close(folder.out);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_fill, hands_its_flags_to_recv, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_channel(STREAM, false);
    size_t moved = UNTOUCHED;

    if (!support_is_windows) /* where only sockets themselves do not block */
        cr_expect_eq(mring_spsc_fill_recv(&ring, channel.out, 9, MSG_DONTWAIT, &moved),
                     MRING_WOULD_BLOCK, "on a socket that blocks");
    write_in(&channel, 0, 10);
    cr_expect_eq(mring_spsc_fill_recv(&ring, channel.out, 20, MSG_PEEK, &moved), 0);

    cr_expect_eq(moved, 10);
    cr_expect_eq(pending(channel.out), 10, "only peeked at");
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_fill, publishes_what_was_held_back_when_it_finds_no_room, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    struct channel channel = new_channel(PIPE, true);
    size_t moved = UNTOUCHED;
    write_in(&channel, capacity, 10);
    write_bytes(&ring, 100);
    cr_assert_eq(
        mring_spsc_tune(&ring, MRING_WRITE_END, &(struct mring_tuning){ .batch_bytes = capacity }),
        0);
    write_bytes(&ring, capacity - 100);
    cr_assert_eq(mring_spsc_readable(&ring), 100, "the rest is held back");

    cr_expect_eq(fill(&ring, &channel, 5, &moved), MRING_FULL);

    cr_expect(ring_has(&ring, 0, capacity));
    drop_bytes(&ring, capacity);
    cr_expect_eq(fill(&ring, &channel, 5, &moved), 0);
    cr_expect_eq(moved, 5);
    cr_expect_eq(mring_spsc_readable(&ring), 0, "a batch holds back what was filled, too");
    mring_spsc_flush(&ring, MRING_WRITE_END);
    cr_expect(ring_has(&ring, capacity, 5));
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

/* ---- drain ----------------------------------------------------------------------------------- */

Test(mring_spsc_drain, moves_all_that_is_there_in_one_system_call, .timeout = 5)
{
    for (int socket = support_is_windows; socket < 2; socket++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_packets();
        const uint64_t start = 3 * smallest() - 50; /* over the end */
        size_t moved = UNTOUCHED, size;
        channel.socket = socket;
        start_at(&ring, start);
        write_bytes(&ring, 100);
        cr_assert_not_null(mring_spsc_peek(&ring, 1, &size));
        write_bytes(&ring, 20);

        cr_expect_eq(drain(&ring, &channel, SIZE_MAX, &moved), 0);

        cr_expect_eq(moved, 120, "the consumer knew of 100");
        cr_expect(comes_out(&channel, start, 120), "in one packet");
        cr_expect_eq(mring_spsc_writable(&ring), smallest());
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_drain, moves_not_more_than_most, .timeout = 5)
{
    static const struct {
        size_t most, moved;
    } rows[] = { { 1, 1 }, { 7, 7 }, { 100, 100 }, { 101, 100 }, { SIZE_MAX, 100 } };

    for (size_t i = 0; i < ROWS(rows) * KINDS; i++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)(i % KINDS), true);
        size_t row = i / KINDS, moved = UNTOUCHED;
        write_bytes(&ring, 100);

        cr_expect_eq(drain(&ring, &channel, rows[row].most, &moved), 0, "row %zu", row);

        cr_expect_eq(moved, rows[row].moved, "row %zu", row);
        cr_expect(comes_out(&channel, 0, rows[row].moved), "row %zu", row);
        cr_expect(ring_has(&ring, moved, 100 - moved), "row %zu", row);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_drain, writes_to_a_file, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const char *path = support_path("file");
    size_t moved = UNTOUCHED;
    struct channel file = { .in = open(path, O_WRONLY | O_CREAT, 0600) };
    write_bytes(&ring, smallest());

    cr_expect_eq(drain(&ring, &file, SIZE_MAX, &moved), 0);

    cr_expect_eq(moved, smallest());
    cr_expect_eq(support_file_size(path), smallest());
    close(file.in);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_drain, consumes_only_what_the_descriptor_took, .timeout = 5)
{
    support_needs_posix("a pair of sockets where all that one took can be read from the other");
    for (int kind = 0; kind < KINDS; kind++) {
        const uint64_t capacity = mring_capacity(1 << 20, 0);
        struct mring_spsc ring = { 0 };
        struct channel channel = new_channel((enum kind)kind, true);
        size_t moved = UNTOUCHED;
        cr_assert_eq(mring_spsc_create(&ring, &(struct mring_args){ .capacity = capacity }), 0);
        write_bytes(&ring, capacity);

        cr_expect_eq(drain(&ring, &channel, SIZE_MAX, &moved), 0, "%s", kind_names[kind]);

        cr_assert_geq(moved, 1, "%s", kind_names[kind]);
        cr_assert_lt(moved, capacity, "%s: it does not hold a MiB", kind_names[kind]);
        cr_expect(comes_out(&channel, 0, moved), "%s", kind_names[kind]);
        cr_expect(ring_has(&ring, moved, capacity - moved), "%s", kind_names[kind]);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

/* A call that must fail and must have done nothing. */
static void expect_drain_fails(struct mring_spsc *ring, const struct channel *channel, size_t most,
                               int err, const char *what)
{
    size_t moved = UNTOUCHED;
    uint64_t before = mring_spsc_position(ring, MRING_READ_END);

    int got = drain(ring, channel, most, &moved);

    cr_expect_eq(got, err, "%s: %s", what, mring_errname(got));
    cr_expect_eq(moved, UNTOUCHED, "%s", what);
    cr_expect_eq(mring_spsc_position(ring, MRING_READ_END), before, "%s", what);
    cr_expect_eq(ring->read_pos, before, "%s", what);
}

Test(mring_spsc_drain, fails_with_invalid_arg_when_most_is_0, .timeout = 5)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)kind, true);
        write_bytes(&ring, 10);

        expect_drain_fails(&ring, &channel, 0, MMAP_INVALID_ARG, kind_names[kind]);

        cr_expect_eq(pending(channel.out), 0, "%s", kind_names[kind]);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_drain, tells_empty_from_eof, .timeout = 5)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)kind, true);
        size_t moved = UNTOUCHED;

        expect_drain_fails(&ring, &channel, 5, MRING_EMPTY, kind_names[kind]);
        write_bytes(&ring, 10);
        mring_spsc_close(&ring, MRING_WRITE_END, 0);
        cr_expect_eq(drain(&ring, &channel, SIZE_MAX, &moved), 0, "what is there comes first");
        cr_expect_eq(moved, 10, "%s", kind_names[kind]);
        expect_drain_fails(&ring, &channel, 5, MRING_EOF, kind_names[kind]);

        cr_expect(comes_out(&channel, 0, 10), "%s", kind_names[kind]);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_drain, fails_with_corrupt_when_the_position_is_impossible, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_channel(PIPE, true);
    size_t moved = UNTOUCHED;
    mring_store_release_u64(&ring.write_side->pos, smallest() + 1);

    cr_expect_eq(drain(&ring, &channel, 5, &moved), MRING_CORRUPT);

    cr_expect_eq(moved, UNTOUCHED);
    cr_expect_eq(pending(channel.out), 0);
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_drain, goes_on_after_the_close_of_its_own_end, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_channel(PIPE, true);
    size_t moved = UNTOUCHED;
    write_bytes(&ring, 10);
    mring_spsc_close(&ring, MRING_READ_END, 0);

    cr_expect_eq(drain(&ring, &channel, SIZE_MAX, &moved), 0);

    cr_expect_eq(moved, 10);
    expect_drain_fails(&ring, &channel, 5, MRING_EMPTY, "then");
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_drain, fails_with_would_block_when_the_descriptor_takes_nothing, .timeout = 5)
{
    for (int kind = FIRST_FULL; kind < KINDS; kind++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)kind, true);
        write_bytes(&ring, 10);
        while (write(channel.in, bytes_at(0, 4096), 4096) > 0)
            ;
        while (write(channel.in, "x", 1) > 0)
            ;

        expect_drain_fails(&ring, &channel, 5, MRING_WOULD_BLOCK, kind_names[kind]);

        cr_expect(ring_has(&ring, 0, 10), "%s", kind_names[kind]);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_drain, hands_its_flags_to_send, .timeout = 5)
{
    support_needs_posix("MSG_DONTWAIT");
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_channel(STREAM, false);
    size_t moved = UNTOUCHED;
    write_bytes(&ring, 10);
    while (send(channel.in, bytes_at(0, 4096), 4096, MSG_DONTWAIT) > 0)
        ;
    while (send(channel.in, "x", 1, MSG_DONTWAIT) > 0)
        ;

    cr_expect_eq(mring_spsc_drain_send(&ring, channel.in, 9, MSG_DONTWAIT, &moved),
                 MRING_WOULD_BLOCK, "on a socket that blocks");

    cr_expect_eq(moved, UNTOUCHED);
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

static mring_atomic_u32 signals;

static void count_signal(int number)
{
    (void)number;
    mring_add_release_u32(&signals, 1);
}

/* Without SA_RESTART: a call that is interrupted fails with EINTR. */
static void count_signals(int number)
{
    struct sigaction action = { .sa_handler = count_signal };

    mring_store_release_u32(&signals, 0);
    sigemptyset(&action.sa_mask);
    cr_assert_eq(sigaction(number, &action, NULL), 0);
}

Test(mring_spsc_drain, fails_with_the_code_of_the_system_and_consumes_nothing, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel pipe_channel = new_channel(PIPE, true), broken = new_channel(PIPE, true);
    struct channel stream = new_channel(STREAM, true), as_file = new_channel(STREAM_AS_FILE, true);
    close(broken.out);
    close(stream.out);
    close(as_file.out);
    write_bytes(&ring, 10);
    count_signals(SIGPIPE);
    const struct {
        struct channel channel;
        int err;
        uint32_t signals;
        const char *what;
    } rows[] = {
        { { .in = -1 }, EBADF, 0, "no descriptor" },
        { { .in = -1, .socket = true }, EBADF, 0, "no socket" },
        { { .in = pipe_channel.out }, EBADF, 0, "an end that only reads" },
        { { .in = pipe_channel.in, .socket = true }, ENOTSOCK, 0, "a pipe" },
        { broken, EPIPE, 1, "a pipe without a reader" },
        { stream, EPIPE, 0, "a socket without a reader" },
        { as_file, EPIPE, 1, "a socket without a reader, by write" },
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        mring_store_release_u32(&signals, 0);
        expect_drain_fails(&ring, &rows[i].channel, 5, rows[i].err, rows[i].what);
        cr_expect_eq(mring_load_acquire_u32(&signals), rows[i].signals, "%s: SIGPIPE",
                     rows[i].what);
    }

    cr_expect(ring_has(&ring, 0, 10));
    close_channel(&pipe_channel);
    close(broken.in);
    close(stream.in);
    close(as_file.in);
    mring_spsc_destroy(&ring);
}

/* ---- signals --------------------------------------------------------------------------------- */

/* A thread that interrupts another one in its system call, then lets the call end. */
struct interruption {
    pthread_t thread;
    long thread_number;
    const struct channel *channel;
    bool drains; /* let the call end by taking bytes out, not by putting some in */
    int sent;
};

/* Whether that thread sleeps in the kernel. */
static bool is_asleep(long thread_number)
{
    char path[64], text[200] = "";

    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", thread_number);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end != NULL && strncmp(name_end, ") S", 3) == 0;
}

static void *interrupt(void *context)
{
    struct interruption *interruption = context;
    static char bytes[1 << 16];

    while (interruption->sent < 3) {
        for (int i = 0; i < 2000 && !is_asleep(interruption->thread_number); i++)
            usleep(1000);
        uint32_t before = mring_load_acquire_u32(&signals);
        pthread_kill(interruption->thread, SIGUSR1);
        for (int i = 0; i < 2000 && mring_load_acquire_u32(&signals) == before; i++)
            usleep(1000);
        interruption->sent++;
    }
    for (int i = 0; i < 2000 && !is_asleep(interruption->thread_number); i++)
        usleep(1000);
    if (interruption->drains)
        (void)!read(interruption->channel->out, bytes, sizeof bytes);
    else
        (void)!write(interruption->channel->in, "0123456789", 10);
    return NULL;
}

static pthread_t start_interrupting(struct interruption *interruption)
{
    pthread_t thread;

    count_signals(SIGUSR1);
    interruption->thread = pthread_self();
    interruption->thread_number = syscall(SYS_gettid);
    cr_assert_eq(pthread_create(&thread, NULL, interrupt, interruption), 0);
    return thread;
}

Test(mring_spsc_fill, goes_on_after_a_signal, .timeout = 20)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct mring_spsc ring = new_ring(0);
        struct channel channel = new_channel((enum kind)kind, false);
        struct interruption interruption = { .channel = &channel };
        size_t moved = UNTOUCHED;
        pthread_t thread = start_interrupting(&interruption);

        cr_expect_eq(fill(&ring, &channel, SIZE_MAX, &moved), 0, "%s", kind_names[kind]);

        pthread_join(thread, NULL);
        cr_expect_eq(moved, 10, "%s", kind_names[kind]);
        cr_expect_eq(mring_load_acquire_u32(&signals), 3, "%s", kind_names[kind]);
        close_channel(&channel);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_drain, goes_on_after_a_signal, .timeout = 20)
{
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_channel(PIPE, false);
    struct interruption interruption = { .channel = &channel, .drains = true };
    size_t moved = UNTOUCHED;
    int page = fcntl(channel.in, F_SETPIPE_SZ, 4096);
    cr_assert_geq(page, 4096);
    write_in(&channel, 0, (size_t)page);
    write_bytes(&ring, 10);
    pthread_t thread = start_interrupting(&interruption);

    cr_expect_eq(drain(&ring, &channel, SIZE_MAX, &moved), 0);

    pthread_join(thread, NULL);
    cr_expect_eq(moved, 10);
    cr_expect_eq(mring_load_acquire_u32(&signals), 3);
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_fill, holds_back_what_it_filled_until_a_batch_has_come_together, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_channel(PIPE, true);
    size_t moved = UNTOUCHED;
    cr_assert_eq(
        mring_spsc_tune(&ring, MRING_WRITE_END, &(struct mring_tuning){ .batch_bytes = 100 }), 0);
    write_in(&channel, 0, 120);

    cr_expect_eq(fill(&ring, &channel, 40, &moved), 0);
    cr_expect_eq(fill(&ring, &channel, 40, &moved), 0);
    cr_expect_eq(mring_spsc_readable(&ring), 0, "there was room, and nobody waited");
    cr_expect_eq(fill(&ring, &channel, 40, &moved), 0);

    cr_expect(ring_has(&ring, 0, 120));
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_drain, holds_back_what_it_consumed_until_a_batch_has_come_together, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_channel(PIPE, true);
    size_t moved = UNTOUCHED;
    cr_assert_eq(
        mring_spsc_tune(&ring, MRING_READ_END, &(struct mring_tuning){ .batch_bytes = 100 }), 0);
    write_bytes(&ring, smallest());

    cr_expect_eq(drain(&ring, &channel, 40, &moved), 0);
    cr_expect_eq(drain(&ring, &channel, 40, &moved), 0);
    cr_expect_eq(mring_spsc_writable(&ring), 0, "there were bytes, and nobody waited");
    cr_expect_eq(drain(&ring, &channel, 40, &moved), 0);

    cr_expect_eq(mring_spsc_writable(&ring), 120);
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_fill, publishes_what_was_held_back_when_the_descriptor_has_nothing, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_channel(PIPE, true);
    size_t moved = UNTOUCHED;
    cr_assert_eq(
        mring_spsc_tune(&ring, MRING_WRITE_END, &(struct mring_tuning){ .batch_bytes = 100 }), 0);
    write_in(&channel, 0, 18);
    cr_assert_eq(fill(&ring, &channel, 100, &moved), 0);

    cr_expect_eq(fill(&ring, &channel, 100, &moved), MRING_WOULD_BLOCK);

    cr_expect(ring_has(&ring, 0, 18));
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_drain, publishes_what_was_held_back_when_the_descriptor_takes_nothing, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_channel(PIPE, true);
    size_t moved = UNTOUCHED;
    cr_assert_eq(fcntl(channel.in, F_SETPIPE_SZ, 4096), 4096);
    cr_assert_eq(
        mring_spsc_tune(&ring, MRING_READ_END, &(struct mring_tuning){ .batch_bytes = smallest() }),
        0);
    write_in(&channel, 0, 4000);
    write_bytes(&ring, smallest());
    cr_assert_eq(drain(&ring, &channel, 96, &moved), 0);

    cr_expect_eq(drain(&ring, &channel, 96, &moved), MRING_WOULD_BLOCK);

    cr_expect_eq(mring_spsc_writable(&ring), 96);
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}

/* It would have recv() return more than it has written. */
Test(mring_spsc_fill_recv, refuses_to_be_told_the_length_of_what_was_cut_off, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct channel channel = new_packets();
    size_t moved = UNTOUCHED;
    write_in(&channel, 0, 200);

    int err = mring_spsc_fill_recv(&ring, channel.out, 100, MSG_TRUNC, &moved);

    cr_expect_eq(err, MMAP_INVALID_ARG);
    cr_expect_eq(moved, UNTOUCHED);
    cr_expect_eq(mring_spsc_readable(&ring), 0);
    close_channel(&channel);
    mring_spsc_destroy(&ring);
}
