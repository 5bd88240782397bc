/* SPDX-License-Identifier: MIT */
/* Byte rings: elements of a fixed size, and messages. */
#define _GNU_SOURCE

#include "ring_support.h"

#include <criterion/criterion.h>
#include <mring/spsc.h>

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static const int64_t MILLISECOND = 1000000;

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

/* Room for one ring, and for 64 bytes more that show who writes too much. */
static unsigned char *new_buffer(void)
{
    unsigned char *buffer = malloc(smallest() + 64);

    cr_assert_not_null(buffer);
    memset(buffer, 0xa5, smallest() + 64);
    return buffer;
}

static bool is_untouched(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0xa5)
            return false;
    return true;
}

/* ---- one element ----------------------------------------------------------------------------- */

static size_t sizes_of_elements(size_t *sizes)
{
    const size_t all[] = { 1, 3, 8, 24, 1000, smallest() / 2, smallest() - 1, smallest() };

    memcpy(sizes, all, sizeof all);
    return ROWS(all);
}

/* Push as many as there is room for. Their number. */
static size_t push_all(struct mring_spsc *ring, size_t size)
{
    size_t count = 0;

    while (mring_spsc_push(ring, bytes_at(ring->write_pos, size), size))
        count++;
    return count;
}

/* Pop up to `most`, of which all have to be what was pushed. Their number. */
static size_t pop_some(struct mring_spsc *ring, size_t size, size_t most, unsigned char *buffer)
{
    size_t count = 0;

    while (count < most && mring_spsc_pop(ring, buffer, size) &&
           support_has_bytes(buffer, ring->read_pos - size, size))
        count++;
    return count;
}

Test(mring_spsc_push, carries_elements_of_any_size_over_several_laps, .timeout = 20)
{
    size_t sizes[8], rows = sizes_of_elements(sizes);
    unsigned char *buffer = new_buffer();

    for (size_t i = 0; i < rows; i++) {
        struct mring_spsc ring = new_ring(0);
        const size_t capacity = mring_spsc_capacity(&ring), size = sizes[i];
        size_t inside = 0;

        while (ring.write_pos < 5 * capacity) {
            inside += push_all(&ring, size);
            cr_assert_eq(inside, capacity / size, "size %zu", size);
            size_t popped = pop_some(&ring, size, inside / 2 + 1, buffer);
            cr_assert_eq(popped, inside / 2 + 1, "size %zu", size);
            inside -= popped;
        }
        cr_expect_eq(pop_some(&ring, size, capacity, buffer), inside, "size %zu", size);
        cr_expect_eq(mring_spsc_readable(&ring), 0, "size %zu", size);
        mring_spsc_destroy(&ring);
    }
    free(buffer);
}

Test(mring_spsc_push, changes_nothing_when_there_is_not_room_for_all_of_it, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    write_bytes(&ring, capacity - 7);

    cr_expect_not(mring_spsc_push(&ring, bytes_at(0, 8), 8));
    cr_expect_not(mring_spsc_push(&ring, bytes_at(0, capacity), capacity));
    cr_expect_eq(mring_spsc_position(&ring, MRING_WRITE_END), capacity - 7);
    cr_expect(mring_spsc_push(&ring, bytes_at(ring.write_pos, 7), 7));
    cr_expect_not(mring_spsc_push(&ring, bytes_at(0, 1), 1));

    cr_expect_eq(mring_spsc_position(&ring, MRING_WRITE_END), capacity);
    size_t size;
    const void *bytes = mring_spsc_peek(&ring, capacity, &size);
    cr_assert_not_null(bytes);
    cr_expect(support_has_bytes(bytes, 0, capacity));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_push, finds_no_room_in_a_ring_that_was_closed, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    size_t count = 3;

    mring_spsc_close(&ring, MRING_WRITE_END, 0);

    cr_expect_not(mring_spsc_push(&ring, "abc", 1));
    cr_expect_eq(mring_spsc_push_n(&ring, "abc", 1, 3), 0);
    cr_expect_null(mring_spsc_reserve_n(&ring, 1, &count));
    cr_expect_eq(count, 0);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_pop, changes_nothing_when_not_all_of_it_is_there, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    unsigned char *buffer = new_buffer();

    cr_expect_not(mring_spsc_pop(&ring, buffer, 1));
    write_bytes(&ring, 2);
    cr_expect_not(mring_spsc_pop(&ring, buffer, 3));
    cr_expect_not(mring_spsc_pop(&ring, buffer, smallest()));

    cr_expect(is_untouched(buffer, smallest() + 64));
    cr_expect_eq(mring_spsc_position(&ring, MRING_READ_END), 0);
    write_bytes(&ring, 1);
    cr_expect(mring_spsc_pop(&ring, buffer, 3));
    cr_expect(support_has_bytes(buffer, 0, 3));
    cr_expect(is_untouched(buffer + 3, 61), "no more than the element is written");
    mring_spsc_destroy(&ring);
    free(buffer);
}

/* ---- many elements --------------------------------------------------------------------------- */

/* How many are asked for, how many bytes can be moved, and how many elements are. */
static const struct {
    size_t size, count, bytes, moved;
} many[] = {
    { 1, 0, 100, 0 },
    { 1, 1, 0, 0 },
    { 1, 5, 100, 5 },
    { 1, 100, 100, 100 },
    { 1, 101, 100, 100 },
    { 3, 0, 9, 0 },
    { 3, 3, 8, 2 },
    { 3, 3, 9, 3 },
    { 3, 2, 9, 2 },
    { 3, 1, 2, 0 },
    { 8, 100, 71, 8 },
    { 8, SIZE_MAX, 71, 8 },
    { 1, SIZE_MAX, 71, 71 },
    { 3, SIZE_MAX, 71, 23 },
    { 3, SIZE_MAX / 3 + 2, 71, 23 }, /* times 3 is 3 and 4 in 64 bits */
    { 8, SIZE_MAX / 8 + 2, 71, 8 },  /* times 8 is 8 */
    { 8, SIZE_MAX / 8 + 1, 71, 8 },  /* times 8 is 0 */
    { 2048, (SIZE_MAX >> 11) + 2, 100, 0 },
    { 4096, SIZE_MAX, 100, 0 },
};

Test(mring_spsc_push_n, moves_as_many_whole_elements_as_there_is_room_for, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(many); i++) {
        struct mring_spsc ring = new_ring(0);
        const size_t capacity = mring_spsc_capacity(&ring), before = capacity - many[i].bytes;
        const uint64_t start = 2 * capacity + 11;
        size_t size;
        start_at(&ring, start);
        if (before > 0)
            write_bytes(&ring, before);

        size_t moved = mring_spsc_push_n(&ring, bytes_at(start + before, many[i].bytes),
                                         many[i].size, many[i].count);

        cr_expect_eq(moved, many[i].moved, "row %zu: %zu", i, moved);
        size_t all = before + many[i].moved * many[i].size;
        cr_expect_eq(mring_spsc_position(&ring, MRING_WRITE_END), start + all, "row %zu", i);
        const void *bytes = mring_spsc_peek(&ring, all, &size);
        cr_assert_not_null(bytes, "row %zu", i);
        cr_expect_eq(size, all, "row %zu", i);
        cr_expect(support_has_bytes(bytes, start, all), "row %zu", i);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_pop_n, moves_as_many_whole_elements_as_there_are, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(many); i++) {
        struct mring_spsc ring = new_ring(0);
        const uint64_t start = 3 * mring_spsc_capacity(&ring) - 5;
        unsigned char *buffer = new_buffer();
        start_at(&ring, start);
        if (many[i].bytes > 0)
            write_bytes(&ring, many[i].bytes);

        size_t moved = mring_spsc_pop_n(&ring, buffer, many[i].size, many[i].count);

        cr_expect_eq(moved, many[i].moved, "row %zu: %zu", i, moved);
        size_t all = many[i].moved * many[i].size;
        cr_expect(support_has_bytes(buffer, start, all), "row %zu", i);
        cr_expect(is_untouched(buffer + all, 64), "row %zu", i);
        cr_expect_eq(mring_spsc_position(&ring, MRING_READ_END), start + all, "row %zu", i);
        cr_expect_eq(mring_spsc_readable(&ring), many[i].bytes - all, "row %zu", i);
        mring_spsc_destroy(&ring);
        free(buffer);
    }
}

Test(mring_spsc_push_n, moves_no_more_than_the_capacity_holds, .timeout = 5)
{
    size_t sizes[8], rows = sizes_of_elements(sizes);
    unsigned char *buffer = new_buffer();

    for (size_t i = 0; i < rows; i++) {
        struct mring_spsc ring = new_ring(0);
        const size_t capacity = mring_spsc_capacity(&ring), most = capacity / sizes[i];
        start_at(&ring, capacity - 1);

        size_t pushed =
            mring_spsc_push_n(&ring, bytes_at(capacity - 1, capacity), sizes[i], most + 1);
        size_t popped = mring_spsc_pop_n(&ring, buffer, sizes[i], SIZE_MAX);

        cr_expect_eq(pushed, most, "size %zu", sizes[i]);
        cr_expect_eq(popped, most, "size %zu", sizes[i]);
        cr_expect(support_has_bytes(buffer, capacity - 1, most * sizes[i]), "size %zu", sizes[i]);
        mring_spsc_destroy(&ring);
    }
    free(buffer);
}

Test(mring_spsc_push_n, carries_batches_of_elements_over_several_laps, .timeout = 20)
{
    static const size_t sizes[] = { 1, 3, 7, 24, 1000 };
    unsigned char *buffer = new_buffer();

    for (size_t i = 0; i < ROWS(sizes); i++) {
        struct mring_spsc ring = new_ring(0);
        const size_t capacity = mring_spsc_capacity(&ring), size = sizes[i];
        size_t inside = 0;

        for (size_t step = 1; ring.write_pos < 5 * capacity; step++) {
            size_t room = capacity / size - inside, wish = step % (capacity / size) + 1;
            size_t pushed =
                mring_spsc_push_n(&ring, bytes_at(ring.write_pos, wish * size), size, wish);
            cr_assert_eq(pushed, wish < room ? wish : room, "size %zu step %zu", size, step);
            inside += pushed;
            size_t popped = mring_spsc_pop_n(&ring, buffer, size, wish / 2 + 1);
            cr_assert_eq(popped, wish / 2 + 1 < inside ? wish / 2 + 1 : inside, "size %zu", size);
            cr_assert(support_has_bytes(buffer, ring.read_pos - popped * size, popped * size),
                      "size %zu step %zu", size, step);
            inside -= popped;
        }
        mring_spsc_destroy(&ring);
    }
    free(buffer);
}

/* ---- in place -------------------------------------------------------------------------------- */

Test(mring_spsc_reserve_n, gives_room_for_as_many_as_fit_and_publishes_nothing, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(many); i++) {
        struct mring_spsc ring = new_ring(0);
        const size_t capacity = mring_spsc_capacity(&ring), before = capacity - many[i].bytes;
        size_t count = many[i].count;
        start_at(&ring, 50);
        if (before > 0)
            write_bytes(&ring, before);

        unsigned char *room = mring_spsc_reserve_n(&ring, many[i].size, &count);

        cr_expect_eq(count, many[i].moved, "row %zu: %zu", i, count);
        cr_expect_eq(room, count > 0 ? ring.data + (50 + before) % capacity : NULL, "row %zu", i);
        cr_expect_eq(mring_spsc_readable(&ring), before, "row %zu", i);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_reserve_n, leads_over_the_end_and_takes_a_commit_of_fewer, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const uint64_t start = mring_spsc_capacity(&ring) - 4;
    size_t count = 10;
    start_at(&ring, start);

    unsigned char *room = mring_spsc_reserve_n(&ring, 3, &count);
    cr_assert_not_null(room);
    cr_expect_eq(count, 10);
    memcpy(room, bytes_at(start, 30), 30);
    mring_spsc_commit(&ring, 7 * 3);

    count = SIZE_MAX;
    const unsigned char *elements = mring_spsc_peek_n(&ring, 3, &count);
    cr_assert_not_null(elements);
    cr_expect_eq(count, 7);
    cr_expect(support_has_bytes(elements, start, 21));
    mring_spsc_consume(&ring, 2 * 3);
    count = 2;
    elements = mring_spsc_peek_n(&ring, 3, &count);
    cr_expect_eq(count, 2);
    cr_expect(support_has_bytes(elements, start + 6, 6));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_reserve_n, looks_for_more_room_when_it_knows_of_too_little, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    size_t count = 10;
    write_bytes(&ring, capacity - 16);
    drop_bytes(&ring, capacity - 16);

    cr_expect_not_null(mring_spsc_reserve_n(&ring, 8, &count));

    cr_expect_eq(count, 10, "2 were known of");
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_peek_n, gives_as_many_as_there_are_and_consumes_nothing, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(many); i++) {
        struct mring_spsc ring = new_ring(0);
        size_t count = many[i].count;
        start_at(&ring, 50);
        if (many[i].bytes > 0)
            write_bytes(&ring, many[i].bytes);

        const unsigned char *elements = mring_spsc_peek_n(&ring, many[i].size, &count);

        cr_expect_eq(count, many[i].moved, "row %zu: %zu", i, count);
        cr_expect_eq(elements, count > 0 ? ring.data + 50 : NULL, "row %zu", i);
        cr_expect_eq(mring_spsc_readable(&ring), many[i].bytes, "row %zu", i);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_peek_n, looks_for_more_when_it_knows_of_too_few, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    size_t size, count = 3;
    write_bytes(&ring, 8);
    cr_assert_not_null(mring_spsc_peek(&ring, 1, &size));
    write_bytes(&ring, 16);

    cr_expect_not_null(mring_spsc_peek_n(&ring, 8, &count));

    cr_expect_eq(count, 3, "1 was known of");
    mring_spsc_destroy(&ring);
}

/* ---- messages: what they are ----------------------------------------------------------------- */

Test(mring_spsc_message_bytes, is_a_head_and_the_bytes_up_to_a_multiple_of_8, .timeout = 5)
{
    static const struct {
        uint64_t size, bytes;
    } rows[] = {
        { 0, 8 },       { 1, 16 },
        { 7, 16 },      { 8, 16 },
        { 9, 24 },      { 16, 24 },
        { 17, 32 },     { 4088, 4096 },
        { 4089, 4104 }, { UINT64_C(1) << 61, (UINT64_C(1) << 61) + 8 },
    };

    for (size_t i = 0; i < ROWS(rows); i++)
        cr_expect_eq(mring_spsc_message_bytes(rows[i].size), rows[i].bytes, "row %zu", i);
}

/* Whether `bytes` are a message of that size whose bytes are those at `pos`. */
static bool is_message(const unsigned char *bytes, size_t size, uint64_t pos)
{
    uint64_t head;

    memcpy(&head, bytes, sizeof head);
    return head == size && support_has_bytes(bytes + 8, pos, size) &&
           support_is_zero(bytes + 8 + size, mring_spsc_message_bytes(size) - 8 - size);
}

/* Send a message whose bytes are those at its position in the stream. */
static int send_at(struct mring_spsc *ring, size_t size)
{
    return mring_spsc_send(ring, bytes_at(ring->write_pos, size), size);
}

/* Receive one like that. */
static int recv_at(struct mring_spsc *ring, unsigned char *buffer, size_t *size)
{
    uint64_t pos = ring->read_pos;
    int err = mring_spsc_recv(ring, buffer, smallest(), size);

    return err == 0 && !support_has_bytes(buffer, pos, *size) ? 99 : err;
}

Test(mring_spsc_send, writes_the_size_the_bytes_and_zeros, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    memset(ring.data, 0xff, capacity);
    start_at(&ring, 2 * capacity - 16);

    for (size_t size = 0; size <= 64; size++) {
        const uint64_t start = ring.write_pos;
        const size_t bytes = (size_t)mring_spsc_message_bytes(size);
        memset(ring.data, 0xff, capacity);

        cr_assert_eq(send_at(&ring, size), 0, "size %zu", size);

        size_t there;
        const unsigned char *message = mring_spsc_peek(&ring, 8, &there);
        cr_assert_not_null(message, "size %zu", size);
        cr_expect_eq(there, bytes, "size %zu", size);
        cr_expect(is_message(message, size, start), "size %zu", size);
        cr_expect_eq((uintptr_t)message % 8, 0, "size %zu", size);
        cr_expect_eq(message[bytes], 0xff, "size %zu: nothing behind it is written", size);
        mring_spsc_consume(&ring, bytes);
    }
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_recv, gives_what_was_sent_of_every_size, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    unsigned char *buffer = new_buffer();

    for (size_t i = 0; i <= 64 + 3; i++) {
        size_t size = i <= 64 ? i : capacity - 8 - (67 - i), received = 99;
        memset(buffer, 0xa5, capacity + 64);

        cr_assert_eq(send_at(&ring, size), 0, "size %zu", size);
        cr_expect_eq(recv_at(&ring, buffer, &received), 0, "size %zu", size);

        cr_expect_eq(received, size);
        cr_expect(is_untouched(buffer + size, 64), "size %zu", size);
        cr_expect_eq(mring_spsc_readable(&ring), 0, "size %zu", size);
    }
    mring_spsc_destroy(&ring);
    free(buffer);
}

Test(mring_spsc_recv, gives_messages_in_order_over_several_laps, .timeout = 20)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    unsigned char *buffer = new_buffer();
    size_t sent = 0, got = 0;

    while (ring.write_pos < 10 * capacity) {
        int err;
        while ((err = send_at(&ring, sent * 37 % 301)) == 0)
            sent++;
        cr_assert_eq(err, MRING_FULL);
        cr_assert_lt(mring_spsc_writable(&ring), mring_spsc_message_bytes(sent * 37 % 301));
        while (got < sent - 2) {
            size_t size = 0;
            const void *message = mring_spsc_peek_message(&ring, &size);
            cr_assert_eq((uintptr_t)message % 8, 0);
            cr_assert_eq(recv_at(&ring, buffer, &size), 0, "message %zu", got);
            cr_assert_eq(size, got * 37 % 301, "message %zu", got);
            got++;
        }
    }
    mring_spsc_destroy(&ring);
    free(buffer);
}

Test(mring_spsc_send, takes_null_for_a_message_of_0_bytes_and_recv_does, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    void *volatile nothing = NULL; /* else a compiler warns of what never happens */
    size_t size = 99;

    cr_expect_eq(mring_spsc_send(&ring, nothing, 0), 0);
    cr_expect_eq(mring_spsc_recv(&ring, nothing, 0, &size), 0);

    cr_expect_eq(size, 0);
    mring_spsc_destroy(&ring);
}

/* ---- messages: errors ------------------------------------------------------------------------ */

Test(mring_spsc_send, fails_with_full_until_there_is_room_for_all_of_it, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    unsigned char *buffer = new_buffer();
    size_t size;
    cr_assert_eq(send_at(&ring, 8), 0);
    cr_assert_eq(send_at(&ring, capacity - 16 - 8 - 8), 0);

    cr_expect_eq(send_at(&ring, 1), MRING_FULL, "8 bytes are left");
    cr_expect_eq(mring_spsc_position(&ring, MRING_WRITE_END), capacity - 8);
    cr_expect_eq(send_at(&ring, 0), 0);
    cr_expect_eq(send_at(&ring, 0), MRING_FULL);
    cr_expect_eq(mring_spsc_position(&ring, MRING_WRITE_END), capacity);
    cr_expect_eq(recv_at(&ring, buffer, &size), 0);
    cr_expect_eq(send_at(&ring, 9), MRING_FULL, "16 bytes are left");

    cr_expect_eq(mring_spsc_wait_writable(&ring, 16, 0), 0);
    cr_expect_eq(send_at(&ring, 8), 0);
    mring_spsc_destroy(&ring);
    free(buffer);
}

Test(mring_spsc_send, fails_with_closed_when_either_end_was_closed, .timeout = 5)
{
    for (int end = MRING_WRITE_END; end <= MRING_READ_END; end++) {
        struct mring_spsc ring = new_ring(0);
        cr_assert_eq(send_at(&ring, 8), 0);

        mring_spsc_close(&ring, (enum mring_end)end, 0);

        cr_expect_eq(send_at(&ring, 8), MRING_CLOSED, "end %d", end);
        cr_expect_eq(send_at(&ring, 0), MRING_CLOSED, "end %d", end);
        cr_expect_eq(send_at(&ring, smallest() - 8), MRING_CLOSED, "end %d: not full", end);
        cr_expect_eq(mring_spsc_position(&ring, MRING_WRITE_END), 16, "end %d", end);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_send, fails_with_too_large_when_it_never_fits, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    const size_t sizes[] = { capacity - 7, capacity,     capacity + 1, SIZE_MAX,
                             SIZE_MAX - 7, SIZE_MAX - 8, SIZE_MAX - 15 };

    for (size_t i = 0; i < ROWS(sizes); i++)
        cr_expect_eq(mring_spsc_send(&ring, "", sizes[i]), MRING_TOO_LARGE, "row %zu", i);

    cr_expect_eq(mring_spsc_readable(&ring), 0);
    cr_expect_eq(send_at(&ring, capacity - 8), 0);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_recv, fails_with_too_large_and_leaves_the_message, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    unsigned char *buffer = new_buffer();
    cr_assert_eq(send_at(&ring, 20), 0);

    for (size_t room = 0; room < 20; room++) {
        size_t size = 99;
        cr_expect_eq(mring_spsc_recv(&ring, buffer, room, &size), MRING_TOO_LARGE, "%zu", room);
        cr_expect_eq(size, 20);
    }

    size_t size = 99;
    cr_expect(is_untouched(buffer, 64));
    cr_expect_eq(mring_spsc_position(&ring, MRING_READ_END), 0);
    cr_expect_eq(mring_spsc_recv(&ring, buffer, 20, &size), 0);
    cr_expect_eq(size, 20);
    cr_expect(support_has_bytes(buffer, 0, 20));
    mring_spsc_destroy(&ring);
    free(buffer);
}

Test(mring_spsc_recv, tells_empty_from_eof, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    unsigned char *buffer = new_buffer();
    size_t size = 99;

    cr_expect_eq(mring_spsc_recv(&ring, buffer, 64, &size), MRING_EMPTY);
    cr_assert_eq(send_at(&ring, 5), 0);
    mring_spsc_close(&ring, MRING_WRITE_END, 0);
    cr_expect_eq(size, 99, "written only when there is a message");
    cr_expect_eq(recv_at(&ring, buffer, &size), 0, "what was sent before the close comes first");
    cr_expect_eq(size, 5);

    size = 99;
    cr_expect_eq(mring_spsc_recv(&ring, buffer, 64, &size), MRING_EOF);
    cr_expect_eq(mring_spsc_recv(&ring, buffer, 64, &size), MRING_EOF);
    cr_expect_eq(size, 99);
    mring_spsc_destroy(&ring);
    free(buffer);
}

Test(mring_spsc_recv, fails_with_corrupt_when_the_head_is_larger_than_the_ring, .timeout = 5)
{
    const uint64_t heads[] = { smallest() - 7,  smallest(),      UINT64_C(1) << 32,
                               UINT64_MAX,      UINT64_MAX - 7,  UINT64_MAX - 8,
                               UINT64_MAX - 15, UINT64_MAX - 16, UINT64_C(1) << 63 };
    unsigned char *buffer = new_buffer();

    for (size_t i = 0; i < ROWS(heads); i++) {
        struct mring_spsc ring = new_ring(0);
        size_t size = 99;
        cr_assert_eq(mring_spsc_write(&ring, &heads[i], 8), 8);
        write_bytes(&ring, i % 2 == 0 ? 100 : smallest() - 8);

        cr_expect_eq(mring_spsc_recv(&ring, buffer, SIZE_MAX, &size), MRING_CORRUPT, "row %zu", i);
        cr_expect_null(mring_spsc_peek_message(&ring, &size), "row %zu", i);
        cr_expect_eq(mring_spsc_wait_message(&ring, 0), MRING_CORRUPT, "row %zu", i);
        cr_expect_eq(mring_spsc_wait_message(&ring, -1), MRING_CORRUPT, "row %zu", i);

        cr_expect_eq(size, 99, "row %zu", i);
        cr_expect(is_untouched(buffer, 64), "row %zu", i);
        cr_expect_eq(mring_spsc_position(&ring, MRING_READ_END), 0, "row %zu", i);
        mring_spsc_destroy(&ring);
    }
    free(buffer);
}

Test(mring_spsc_recv, fails_with_corrupt_when_the_position_is_impossible, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    unsigned char buffer[8];
    size_t size = 99;
    mring_store_release_u64(&ring.write_side->pos, smallest() + 1);

    cr_expect_eq(mring_spsc_recv(&ring, buffer, sizeof buffer, &size), MRING_CORRUPT);
    cr_expect_eq(mring_spsc_wait_message(&ring, -1), MRING_CORRUPT);
    cr_expect_eq(mring_spsc_wait_message(&ring, 10000 * MILLISECOND), MRING_CORRUPT);

    cr_expect_eq(size, 99);
    mring_spsc_destroy(&ring);
}

/* ---- messages: in place ---------------------------------------------------------------------- */

Test(mring_spsc_peek_message, gives_the_message_until_it_is_consumed, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const uint64_t start = smallest() - 24;
    size_t size = 99;
    start_at(&ring, start);
    cr_expect_null(mring_spsc_peek_message(&ring, &size));
    cr_assert_eq(send_at(&ring, 30), 0);
    cr_assert_eq(send_at(&ring, 0), 0);

    const void *message = mring_spsc_peek_message(&ring, &size);
    cr_assert_not_null(message);
    cr_expect_eq(size, 30);
    cr_expect(support_has_bytes(message, start, 30), "in one piece over the end");
    cr_expect_eq(mring_spsc_peek_message(&ring, &size), message);
    cr_expect_eq(mring_spsc_position(&ring, MRING_READ_END), start);

    mring_spsc_consume_message(&ring, size);
    cr_expect_eq(mring_spsc_position(&ring, MRING_READ_END), start + 40);
    cr_expect_not_null(mring_spsc_peek_message(&ring, &size), "one of 0 bytes is one, too");
    cr_expect_eq(size, 0);
    mring_spsc_consume_message(&ring, size);
    cr_expect_eq(mring_spsc_readable(&ring), 0);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_peek_message, looks_for_the_rest_when_it_knows_of_a_part, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const uint64_t head = 20;
    size_t size = 99;
    cr_assert_eq(mring_spsc_write(&ring, &head, 8), 8);
    write_bytes(&ring, 4);
    cr_expect_null(mring_spsc_peek_message(&ring, &size));
    write_bytes(&ring, 19);
    cr_expect_null(mring_spsc_peek_message(&ring, &size), "one byte of padding is missing");
    cr_expect_eq(size, 99);
    write_bytes(&ring, 1);

    const void *message = mring_spsc_peek_message(&ring, &size);

    cr_assert_not_null(message);
    cr_expect_eq(size, 20);
    cr_expect(support_has_bytes(message, 8, 20));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_reserve_message, publishes_the_size_that_the_message_came_to_be, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);

    for (size_t size = 0; size <= 40; size++) {
        const uint64_t start = ring.write_pos;
        size_t there;
        unsigned char *room = mring_spsc_reserve_message(&ring, 40);
        cr_assert_not_null(room, "size %zu", size);
        memset(room, 0xff, 40);
        memcpy(room, bytes_at(start, size), size);
        cr_expect_eq(mring_spsc_readable(&ring), 0, "size %zu: nothing is published yet", size);

        mring_spsc_commit_message(&ring, size);

        cr_expect_eq(ring.write_pos, start + mring_spsc_message_bytes(size), "size %zu", size);
        const unsigned char *bytes = mring_spsc_peek(&ring, 8, &there);
        cr_assert_not_null(bytes);
        cr_expect(is_message(bytes, size, start), "size %zu", size);
        mring_spsc_consume(&ring, there);
    }
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_reserve_message, gives_null_when_there_is_no_room_for_head_and_padding,
     .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    cr_expect_not_null(mring_spsc_reserve_message(&ring, capacity - 8));
    write_bytes(&ring, capacity - 16);

    cr_expect_null(mring_spsc_reserve_message(&ring, 9));
    cr_expect_not_null(mring_spsc_reserve_message(&ring, 8));
    mring_spsc_commit_message(&ring, 8);

    cr_expect_null(mring_spsc_reserve_message(&ring, 0));
    mring_spsc_destroy(&ring);
}

/* ---- messages: waiting ----------------------------------------------------------------------- */

Test(mring_spsc_wait_message, answers_only_for_a_whole_one, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const uint64_t head = 5;
    const int64_t timeouts[] = { 0, 3 * MILLISECOND };

    for (size_t i = 0; i < ROWS(timeouts); i++) {
        cr_expect_eq(mring_spsc_wait_message(&ring, timeouts[i]), MRING_TIMED_OUT, "nothing");
        cr_assert_eq(mring_spsc_write(&ring, &head, 7), 7);
        cr_expect_eq(mring_spsc_wait_message(&ring, timeouts[i]), MRING_TIMED_OUT, "half a head");
        cr_assert_eq(mring_spsc_write(&ring, (const char *)&head + 7, 1), 1);
        cr_expect_eq(mring_spsc_wait_message(&ring, timeouts[i]), MRING_TIMED_OUT, "a head");
        write_bytes(&ring, 7);
        cr_expect_eq(mring_spsc_wait_message(&ring, timeouts[i]), MRING_TIMED_OUT, "no padding");
        write_bytes(&ring, 1);
        cr_expect_eq(mring_spsc_wait_message(&ring, timeouts[i]), 0);
        cr_expect_eq(mring_spsc_wait_message(&ring, timeouts[i]), 0, "it consumes nothing");
        drop_bytes(&ring, 16);
    }
    cr_expect_eq(mring_spsc_readable(&ring), 0);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_wait_message, fails_with_eof_when_the_producer_closes_in_the_middle, .timeout = 5)
{
    const uint64_t head = 20;

    for (size_t written = 0; written < 32; written += 3) {
        struct mring_spsc ring = new_ring(0);
        unsigned char message[32] = { 0 }, buffer[32];
        size_t size = 99;
        memcpy(message, &head, 8);
        cr_assert_eq(mring_spsc_write(&ring, message, written), written);
        cr_expect_eq(mring_spsc_wait_message(&ring, 0), MRING_TIMED_OUT, "%zu", written);
        cr_expect_null(mring_spsc_peek_message(&ring, &size), "%zu", written);
        cr_expect_eq(mring_spsc_recv(&ring, buffer, 32, &size), MRING_EMPTY, "%zu", written);

        mring_spsc_close(&ring, MRING_WRITE_END, 0);

        cr_expect_eq(mring_spsc_wait_message(&ring, 0), MRING_EOF, "%zu", written);
        cr_expect_eq(mring_spsc_wait_message(&ring, -1), MRING_EOF, "%zu", written);
        cr_expect_eq(mring_spsc_recv(&ring, buffer, 32, &size), MRING_EOF, "%zu", written);
        cr_expect_null(mring_spsc_peek_message(&ring, &size), "%zu", written);
        cr_expect_eq(size, 99, "%zu", written);
        mring_spsc_destroy(&ring);
    }
}

static void *send_in_parts(void *context)
{
    static const size_t parts[] = { 3, 5, 10, 13, 1 };
    struct mring_spsc *ring = context;
    const uint64_t head = 20;
    unsigned char message[32] = { 0 };

    memcpy(message, &head, sizeof head);
    for (size_t i = 0, sent = 0; i < ROWS(parts); sent += parts[i++]) {
        usleep(5000);
        mring_spsc_write(ring, message + sent, parts[i]);
    }
    return NULL;
}

Test(mring_spsc_wait_message, waits_for_the_last_byte_of_it, .timeout = 20)
{
    static const int64_t timeouts[] = { -1, INT64_MIN, INT64_MAX, INT64_C(15000000000) };

    for (size_t i = 0; i < ROWS(timeouts); i++) {
        struct mring_spsc ring = new_ring(0);
        pthread_t thread;
        size_t size = 99;
        cr_assert_eq(pthread_create(&thread, NULL, send_in_parts, &ring), 0);

        cr_expect_eq(mring_spsc_wait_message(&ring, timeouts[i]), 0, "row %zu", i);

        cr_expect_not_null(mring_spsc_peek_message(&ring, &size), "row %zu", i);
        cr_expect_eq(size, 20, "row %zu", i);
        pthread_join(thread, NULL);
        mring_spsc_destroy(&ring);
    }
}

struct late_head {
    struct mring_spsc *ring;
    int64_t written_at;
};

static void *write_a_late_head(void *context)
{
    struct late_head *late = context;
    const uint64_t head = 20;

    usleep(700000);
    late->written_at = mring_os_now();
    mring_spsc_write(late->ring, &head, 8);
    return NULL;
}

/*
 * It waits for the head, then for the rest. Had each the whole timeout, the second wait alone would
 * last as long as that, however busy the machine is.
 */
Test(mring_spsc_wait_message, spends_its_timeout_once, .timeout = 20)
{
    const int64_t timeout = 1000 * MILLISECOND, before = mring_os_now();
    struct mring_spsc ring = new_ring(0);
    struct late_head late = { .ring = &ring };
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, write_a_late_head, &late), 0);

    cr_expect_eq(mring_spsc_wait_message(&ring, timeout), MRING_TIMED_OUT);
    int64_t after = mring_os_now();

    pthread_join(thread, NULL);
    cr_expect_geq(after - before, timeout);
    cr_expect_lt(after - late.written_at, timeout);
    mring_spsc_destroy(&ring);
}
