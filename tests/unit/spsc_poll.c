/* SPDX-License-Identifier: MIT */
/* Byte rings in poll loops: what is written to the descriptor of an end, when, and how often. */
#define _GNU_SOURCE

#include "ring_support.h"

#include <criterion/criterion.h>
#include <mring/spsc.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(WITHOUT_LIBURING)
#include <liburing.h>
#endif

static const int64_t MILLISECOND = 1000000;

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static uint64_t wakes_of(const struct mring_spsc *ring, enum mring_end end)
{
    struct mring_stats stats;

    mring_spsc_stats(ring, end, &stats);
    return stats.wakes;
}

/*
 * Most tests are about both ends. `waits` is the one that arms, and `acts` the other one, which
 * gives it bytes or room.
 */
static const enum mring_end ends[] = { MRING_READ_END, MRING_WRITE_END };

static enum mring_end other_than(enum mring_end end)
{
    return end == MRING_WRITE_END ? MRING_READ_END : MRING_WRITE_END;
}

static const char *name_of(enum mring_end end)
{
    return end == MRING_WRITE_END ? "write end" : "read end";
}

/* A ring in which that end has nothing to do, and the descriptor of the end. */
struct scene {
    struct mring_spsc ring;
    int fd;
};

static void new_scene_at(struct scene *scene, enum mring_end waits, unsigned flags, uint64_t pos)
{
    scene->ring = new_ring(flags);
    scene->fd = new_eventfd(0);
    start_at(&scene->ring, pos);
    if (waits == MRING_WRITE_END)
        cr_assert(put(&scene->ring, smallest()));
    cr_assert_eq(mring_spsc_set_eventfd(&scene->ring, waits, scene->fd), 0);
}

static void new_scene(struct scene *scene, enum mring_end waits)
{
    new_scene_at(scene, waits, 0, 0);
}

static void end_scene(struct scene *scene)
{
    mring_spsc_destroy(&scene->ring);
    close(scene->fd);
}

static int arm(struct mring_spsc *ring, enum mring_end waits, size_t size)
{
    return waits == MRING_WRITE_END ? mring_spsc_arm_writable(ring, size)
                                    : mring_spsc_arm_readable(ring, size);
}

static int armed(enum mring_end waits)
{
    return waits == MRING_WRITE_END ? MRING_FULL : MRING_EMPTY;
}

/* Give the end that waits `size` bytes, or room for them. */
static bool give(struct mring_spsc *ring, enum mring_end waits, size_t size)
{
    return waits == MRING_WRITE_END ? take(ring, size) : put(ring, size);
}

/* Use up what was given. */
static bool use(struct mring_spsc *ring, enum mring_end waits, size_t size)
{
    return give(ring, other_than(waits), size);
}

static uint32_t arms_of(const struct mring_spsc *ring, enum mring_end end)
{
    return mring_load_acquire_u32(
        &(end == MRING_WRITE_END ? ring->write_side : ring->read_side)->event.arm);
}

/* ---- set_eventfd ----------------------------------------------------------------------------- */

TestSuite(mring_spsc_set_eventfd, .init = support_begin, .fini = support_end);

/* The descriptor that was set before is still in use. */
static void expect_refusal(const char *name, int fd, int expected)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);

        int err = mring_spsc_set_eventfd(&scene.ring, ends[i], fd);

        cr_expect_eq(err, expected, "%s, %s: %s", name, name_of(ends[i]), mring_errname(err));
        cr_expect_eq(arm(&scene.ring, ends[i], 1), armed(ends[i]), "%s", name);
        cr_assert(give(&scene.ring, ends[i], 1));
        cr_expect_eq(count_of(scene.fd), 1, "%s, %s", name, name_of(ends[i]));
        end_scene(&scene);
    }
}

Test(mring_spsc_set_eventfd, takes_nothing_but_an_eventfd_that_does_not_block, .timeout = 5)
{
    support_needs_posix("an eventfd that blocks");
    int pipe_fds[2], socket_fds[2];
    cr_assert_eq(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, socket_fds), 0);
    const struct {
        const char *name;
        int fd;
    } rows[] = {
        { "blocking eventfd", eventfd(0, EFD_CLOEXEC) },
        { "pipe to read", pipe_fds[0] },
        { "pipe to write", pipe_fds[1] },
        { "socket", socket_fds[0] },
        { "file", open(support_path("file"), O_CREAT | O_RDWR | O_NONBLOCK | O_CLOEXEC, 0600) },
        { "folder", open(support_folder(), O_RDONLY | O_NONBLOCK | O_CLOEXEC) },
        { "device", open("/dev/null", O_RDWR | O_NONBLOCK | O_CLOEXEC) },
        { "timer", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC) },
    };

    for (size_t i = 0; i < LENGTH(rows); i++) {
        cr_assert_geq(rows[i].fd, 0, "%s", rows[i].name);
        expect_refusal(rows[i].name, rows[i].fd, MMAP_INVALID_ARG);
    }
}

Test(mring_spsc_set_eventfd, fails_with_the_code_of_the_system_for_what_is_not_open, .timeout = 5)
{
    /* A high number, so that nothing else gets it. */
    int fd = fcntl(new_eventfd(0), F_DUPFD_CLOEXEC, 500);
    cr_assert_geq(fd, 500);
    close(fd);

    expect_refusal("closed", fd, EBADF);
    expect_refusal("never open", INT_MAX, EBADF);
}

Test(mring_spsc_set_eventfd, refuses_a_ring_in_which_nobody_waits, .timeout = 5)
{
    struct mring_spsc ring = new_ring(MRING_NOWAIT);
    int fd = new_eventfd(0);

    cr_expect_eq(mring_spsc_set_eventfd(&ring, MRING_READ_END, fd), MMAP_INVALID_ARG);
    cr_expect_eq(mring_spsc_set_eventfd(&ring, MRING_WRITE_END, fd), MMAP_INVALID_ARG);

    cr_expect_eq(mring_spsc_arm_readable(&ring, 1), MMAP_INVALID_ARG);
    cr_expect_eq(mring_spsc_arm_writable(&ring, 1), MMAP_INVALID_ARG);
    cr_assert(put(&ring, 1));
    cr_expect_eq(count_of(fd), 0);
    close(fd);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_set_eventfd, is_for_one_end_and_a_new_ring_has_none, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct mring_spsc ring = new_ring(0);
        int fd = new_eventfd(0);
        size_t size = smallest() / 2;
        cr_assert(put(&ring, size));

        cr_expect_eq(arm(&ring, ends[i], 1), MMAP_INVALID_ARG, "%s", name_of(ends[i]));
        cr_expect_eq(arm(&ring, ends[i], size + 1), MMAP_INVALID_ARG, "%s", name_of(ends[i]));
        cr_expect_eq(mring_spsc_set_eventfd(&ring, other_than(ends[i]), fd), 0);

        cr_expect_eq(arm(&ring, ends[i], size + 1), MMAP_INVALID_ARG, "%s", name_of(ends[i]));
        cr_expect_eq(arm(&ring, other_than(ends[i]), size + 1), armed(other_than(ends[i])));
        cr_expect_eq(arms_of(&ring, ends[i]), 0, "nothing was announced");
        mring_spsc_destroy(&ring);
        close(fd);
    }
}

Test(mring_spsc_set_eventfd, with_a_negative_number_takes_it_away, .timeout = 5)
{
    static const int negatives[] = { -1, -2, INT_MIN };

    for (size_t i = 0; i < LENGTH(ends) * LENGTH(negatives); i++) {
        enum mring_end waits = ends[i % 2];
        struct scene scene;
        new_scene(&scene, waits);
        cr_assert_eq(arm(&scene.ring, waits, 1), armed(waits));

        cr_expect_eq(mring_spsc_set_eventfd(&scene.ring, waits, negatives[i / 2]), 0);

        cr_assert(give(&scene.ring, waits, 1));
        cr_expect_eq(count_of(scene.fd), 0, "%s, %d", name_of(waits), negatives[i / 2]);
        cr_expect_eq(arm(&scene.ring, waits, 2), MMAP_INVALID_ARG, "%s", name_of(waits));
        cr_expect_eq(mring_spsc_set_eventfd(&scene.ring, waits, scene.fd), 0, "and may come back");
        cr_expect_eq(arm(&scene.ring, waits, 2), armed(waits));
        end_scene(&scene);
    }
}

Test(mring_spsc_set_eventfd, puts_another_one_in_its_place, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        int fd = new_eventfd(0);
        new_scene(&scene, ends[i]);
        cr_assert_eq(arm(&scene.ring, ends[i], 1), armed(ends[i]));

        cr_expect_eq(mring_spsc_set_eventfd(&scene.ring, ends[i], fd), 0);

        cr_expect_eq(count_of(fd), 1, "%s: something may have been missed", name_of(ends[i]));
        cr_assert(give(&scene.ring, ends[i], 1));
        cr_expect_eq(count_of(scene.fd), 0, "%s", name_of(ends[i]));
        cr_expect_eq(count_of(fd), 1, "%s: the arming goes over to it", name_of(ends[i]));
        end_scene(&scene);
        close(fd);
    }
}

/* ---- the answers of arm ---------------------------------------------------------------------- */

TestSuite(mring_spsc_arm, .init = support_begin, .fini = support_end);

Test(mring_spsc_arm, refuses_a_size_that_can_never_be, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        const size_t sizes[] = { 0, smallest() + 1, SIZE_MAX };
        struct scene scene;
        new_scene(&scene, ends[i]);

        for (size_t j = 0; j < LENGTH(sizes); j++)
            cr_expect_eq(arm(&scene.ring, ends[i], sizes[j]), MMAP_INVALID_ARG, "%s, %zu",
                         name_of(ends[i]), sizes[j]);

        cr_expect_eq(arms_of(&scene.ring, ends[i]), 0, "nothing was announced");
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, tells_enough_from_too_little_and_closed, .timeout = 5)
{
    const struct {
        enum mring_end waits;
        size_t given, size;
        bool acts_closed, waits_closed;
        int err;
    } rows[] = {
        { MRING_READ_END, 0, 1, false, false, MRING_EMPTY },
        { MRING_READ_END, 10, 11, false, false, MRING_EMPTY },
        { MRING_READ_END, 10, 10, false, false, 0 },
        { MRING_READ_END, 10, 1, false, false, 0 },
        { MRING_READ_END, smallest() - 1, smallest(), false, false, MRING_EMPTY },
        { MRING_READ_END, smallest(), smallest(), false, false, 0 },
        { MRING_READ_END, 0, 1, true, false, MRING_EOF },
        { MRING_READ_END, 10, 10, true, false, 0 },
        { MRING_READ_END, 10, 11, true, false, MRING_EOF },
        { MRING_WRITE_END, 0, 1, false, false, MRING_FULL },
        { MRING_WRITE_END, 10, 11, false, false, MRING_FULL },
        { MRING_WRITE_END, 10, 10, false, false, 0 },
        { MRING_WRITE_END, 10, 1, false, false, 0 },
        { MRING_WRITE_END, smallest() - 1, smallest(), false, false, MRING_FULL },
        { MRING_WRITE_END, smallest(), smallest(), false, false, 0 },
        { MRING_WRITE_END, 0, 1, true, false, MRING_CLOSED },
        { MRING_WRITE_END, 10, 10, true, false, MRING_CLOSED },
        { MRING_WRITE_END, 0, 1, false, true, MRING_CLOSED },
        { MRING_WRITE_END, 10, 10, false, true, MRING_CLOSED },
    };

    for (size_t i = 0; i < LENGTH(rows); i++) {
        enum mring_end waits = rows[i].waits;
        struct scene scene;
        new_scene(&scene, waits);
        if (rows[i].given > 0)
            cr_assert(give(&scene.ring, waits, rows[i].given));
        if (rows[i].acts_closed)
            mring_spsc_close(&scene.ring, other_than(waits), 0);
        if (rows[i].waits_closed)
            mring_spsc_close(&scene.ring, waits, 0);

        int err = arm(&scene.ring, waits, rows[i].size);

        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mring_errname(err));
        cr_expect_eq(arms_of(&scene.ring, waits), rows[i].err == armed(waits), "row %zu", i);
        cr_expect_eq(count_of(scene.fd), 0, "row %zu: arming writes nothing", i);
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, does_not_believe_an_impossible_position, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene_at(&scene, ends[i], 0, 1000);
        mring_atomic_u64 *theirs =
            ends[i] == MRING_READ_END ? &scene.ring.write_side->pos : &scene.ring.read_side->pos;
        uint64_t pos = mring_load_relaxed_u64(theirs);

        mring_store_release_u64(theirs, pos + 2 * smallest());
        cr_expect_eq(arm(&scene.ring, ends[i], 1), MRING_CORRUPT, "%s", name_of(ends[i]));
        mring_store_release_u64(theirs, pos - 1);
        cr_expect_eq(arm(&scene.ring, ends[i], 1), MRING_CORRUPT, "%s", name_of(ends[i]));

        cr_expect_eq(arms_of(&scene.ring, ends[i]), 0, "%s", name_of(ends[i]));
        mring_store_release_u64(theirs, pos);
        cr_expect_eq(arm(&scene.ring, ends[i], 1), armed(ends[i]), "a sane one is believed again");
        end_scene(&scene);
    }
}

/* ---- when the descriptor is written to ------------------------------------------------------- */

Test(mring_spsc_arm, has_the_descriptor_written_to_once, .timeout = 5)
{
    static const unsigned flags[] = { 0, MRING_FENCE };

    for (size_t i = 0; i < LENGTH(ends) * LENGTH(flags); i++) {
        enum mring_end waits = ends[i % 2], acts = other_than(waits);
        struct scene scene;
        new_scene_at(&scene, waits, flags[i / 2], 0);

        for (uint64_t round = 1; round <= 5; round++) {
            cr_assert_eq(arm(&scene.ring, waits, 1), armed(waits));
            cr_expect_not(is_readable(scene.fd), "%s", name_of(waits));

            for (int j = 0; j < 10; j++)
                cr_assert(give(&scene.ring, waits, 1));

            cr_expect_eq(wakes_of(&scene.ring, acts), round, "%s", name_of(waits));
            cr_expect_eq(count_of(scene.fd), 1, "%s", name_of(waits));
            cr_assert(use(&scene.ring, waits, 10));
        }
        cr_expect_eq(wakes_of(&scene.ring, waits), 0, "who arms wakes nobody");
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, has_nothing_written_before_there_is_enough, .timeout = 5)
{
    /* Also where the positions change sign, and where they begin again. */
    static const uint64_t positions[] = { 0, (UINT64_C(1) << 63) - 50, (uint64_t)-50,
                                          (uint64_t)-5000 };

    for (size_t i = 0; i < LENGTH(ends) * LENGTH(positions); i++) {
        enum mring_end waits = ends[i % 2], acts = other_than(waits);
        struct scene scene;
        new_scene_at(&scene, waits, 0, positions[i / 2]);
        cr_assert_eq(arm(&scene.ring, waits, 100), armed(waits));

        for (int j = 0; j < 99; j++)
            cr_assert(give(&scene.ring, waits, 1));
        cr_expect_eq(wakes_of(&scene.ring, acts), 0, "%s, position %zu", name_of(waits), i / 2);
        cr_expect_eq(count_of(scene.fd), 0, "%s, position %zu", name_of(waits), i / 2);
        cr_assert(give(&scene.ring, waits, 1));

        cr_expect_eq(wakes_of(&scene.ring, acts), 1, "%s, position %zu", name_of(waits), i / 2);
        cr_expect_eq(count_of(scene.fd), 1, "%s, position %zu", name_of(waits), i / 2);
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, counts_from_what_has_been_used_up, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);
        cr_assert(give(&scene.ring, ends[i], 60));
        cr_assert(use(&scene.ring, ends[i], 20));

        cr_assert_eq(arm(&scene.ring, ends[i], 100), armed(ends[i]), "there are 40");
        cr_assert(give(&scene.ring, ends[i], 59));
        cr_expect_eq(count_of(scene.fd), 0, "%s: 99", name_of(ends[i]));
        cr_assert(give(&scene.ring, ends[i], 2));

        cr_expect_eq(count_of(scene.fd), 1, "%s: 101", name_of(ends[i]));
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, for_all_that_the_ring_holds_is_possible, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);
        cr_assert_eq(arm(&scene.ring, ends[i], smallest()), armed(ends[i]));

        cr_assert(give(&scene.ring, ends[i], smallest() - 1));
        cr_expect_eq(count_of(scene.fd), 0, "%s", name_of(ends[i]));
        cr_assert(give(&scene.ring, ends[i], 1));

        cr_expect_eq(count_of(scene.fd), 1, "%s", name_of(ends[i]));
        cr_expect_eq(arm(&scene.ring, ends[i], smallest()), 0, "%s", name_of(ends[i]));
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, is_needed_for_anything_to_be_written, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);

        cr_assert(give(&scene.ring, ends[i], 1));
        cr_expect_eq(arm(&scene.ring, ends[i], 1), 0, "there is enough: it is not armed");
        cr_assert(give(&scene.ring, ends[i], 1));
        cr_expect_eq(arm(&scene.ring, ends[i], smallest() + 1), MMAP_INVALID_ARG);
        cr_assert(give(&scene.ring, ends[i], 1));
        mring_spsc_close(&scene.ring, other_than(ends[i]), 0);

        cr_expect_eq(count_of(scene.fd), 0, "%s", name_of(ends[i]));
        cr_expect_eq(wakes_of(&scene.ring, other_than(ends[i])), 0, "%s", name_of(ends[i]));
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, ends_with_the_close_of_the_other_end, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);
        cr_assert(give(&scene.ring, ends[i], 10));
        cr_assert_eq(arm(&scene.ring, ends[i], smallest()), armed(ends[i]));

        mring_spsc_close(&scene.ring, other_than(ends[i]), 0);
        mring_spsc_close(&scene.ring, other_than(ends[i]), 0);

        cr_expect_eq(count_of(scene.fd), 1, "%s", name_of(ends[i]));
        cr_expect_eq(wakes_of(&scene.ring, other_than(ends[i])), 1, "%s", name_of(ends[i]));
        cr_expect_eq(arm(&scene.ring, ends[i], smallest()),
                     ends[i] == MRING_READ_END ? MRING_EOF : MRING_CLOSED);
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, clears_the_descriptor_and_nothing_else_does, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);
        cr_assert_eq(arm(&scene.ring, ends[i], 1), armed(ends[i]));
        cr_assert(give(&scene.ring, ends[i], 10));

        cr_expect(is_readable(scene.fd), "%s", name_of(ends[i]));
        cr_expect(is_readable(scene.fd), "%s", name_of(ends[i]));
        cr_expect_eq(arm(&scene.ring, ends[i], 1), 0);
        cr_expect(is_readable(scene.fd), "%s: it was not armed", name_of(ends[i]));
        cr_assert(use(&scene.ring, ends[i], 10));
        cr_expect(is_readable(scene.fd), "%s: used up, but not armed", name_of(ends[i]));
        cr_expect_eq(arm(&scene.ring, ends[i], 1), armed(ends[i]));

        cr_expect_not(is_readable(scene.fd), "%s", name_of(ends[i]));
        end_scene(&scene);
    }
}

/* Whatever else has been written to the descriptor, arming clears it. */
Test(mring_spsc_arm, clears_what_it_did_not_write, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);
        cr_assert_eq(eventfd_write(scene.fd, 12345), 0);

        cr_expect_eq(arm(&scene.ring, ends[i], 1), armed(ends[i]));

        cr_expect_not(is_readable(scene.fd), "%s", name_of(ends[i]));
        cr_assert(give(&scene.ring, ends[i], 1));
        cr_expect_eq(count_of(scene.fd), 1, "%s", name_of(ends[i]));
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, is_worth_one_write_however_often_it_is_called, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);
        for (int j = 0; j < 5; j++)
            cr_assert_eq(arm(&scene.ring, ends[i], 1), armed(ends[i]));

        cr_assert(give(&scene.ring, ends[i], 1) && give(&scene.ring, ends[i], 1));

        cr_expect_eq(count_of(scene.fd), 1, "%s", name_of(ends[i]));
        cr_expect_eq(wakes_of(&scene.ring, other_than(ends[i])), 1, "%s", name_of(ends[i]));
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, is_for_what_was_asked_for_last, .timeout = 5)
{
    static const struct {
        size_t first, last;
        uint64_t count;
    } rows[] = { { 100, 10, 1 }, { 10, 100, 0 } };

    for (size_t i = 0; i < LENGTH(ends) * LENGTH(rows); i++) {
        enum mring_end waits = ends[i % 2];
        struct scene scene;
        new_scene(&scene, waits);
        cr_assert_eq(arm(&scene.ring, waits, rows[i / 2].first), armed(waits));
        cr_assert_eq(arm(&scene.ring, waits, rows[i / 2].last), armed(waits));

        cr_assert(give(&scene.ring, waits, 10));

        cr_expect_eq(count_of(scene.fd), rows[i / 2].count, "%s, row %zu", name_of(waits), i / 2);
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, hears_of_deferred_data_when_it_is_published, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        enum mring_end waits = ends[i], acts = other_than(ends[i]);
        struct scene scene;
        new_scene(&scene, waits);
        cr_assert_eq(
            mring_spsc_tune(&scene.ring, acts, &(struct mring_tuning){ .batch_bytes = 64 }), 0);
        cr_assert(give(&scene.ring, waits, 10));
        cr_assert_eq(arm(&scene.ring, waits, 1), armed(waits), "all of it is held back");

        mring_spsc_flush(&scene.ring, acts);

        cr_expect_eq(count_of(scene.fd), 1, "%s", name_of(waits));
        cr_expect_eq(arm(&scene.ring, waits, 10), 0, "%s", name_of(waits));
        end_scene(&scene);
    }
}

Test(mring_spsc_arm, publishes_what_its_end_has_held_back, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        enum mring_end waits = ends[i], arms_later = other_than(ends[i]);
        struct scene scene;
        int fd = new_eventfd(0);
        new_scene(&scene, waits);
        cr_assert_eq(mring_spsc_set_eventfd(&scene.ring, arms_later, fd), 0);
        cr_assert_eq(
            mring_spsc_tune(&scene.ring, arms_later, &(struct mring_tuning){ .batch_bytes = 64 }),
            0);
        cr_assert(give(&scene.ring, waits, 10));
        cr_assert_eq(arm(&scene.ring, waits, 1), armed(waits));

        cr_expect_eq(arm(&scene.ring, arms_later, smallest()), armed(arms_later));

        cr_expect_eq(count_of(scene.fd), 1, "%s", name_of(waits));
        cr_expect_eq(count_of(fd), 0, "%s", name_of(waits));
        close(fd);
        end_scene(&scene);
    }
}

/* Both at once is possible when neither has what it wants. */
Test(mring_spsc_arm, works_for_both_ends_at_once, .timeout = 5)
{
    struct scene scene;
    int write_fd = new_eventfd(0);
    const size_t half = smallest() / 2;
    new_scene(&scene, MRING_READ_END);
    cr_assert_eq(mring_spsc_set_eventfd(&scene.ring, MRING_WRITE_END, write_fd), 0);
    cr_assert(put(&scene.ring, half));
    cr_assert_eq(mring_spsc_arm_readable(&scene.ring, half + 1), MRING_EMPTY);
    cr_assert_eq(mring_spsc_arm_writable(&scene.ring, half + 1), MRING_FULL);

    cr_assert(put(&scene.ring, 1));
    cr_expect_eq(count_of(scene.fd), 1);
    cr_expect_eq(count_of(write_fd), 0, "the producer's own commit is no news to it");
    cr_assert(take(&scene.ring, 1) && take(&scene.ring, 1));
    cr_expect_eq(count_of(write_fd), 1);

    cr_expect_eq(count_of(scene.fd), 0);
    cr_expect_eq(wakes_of(&scene.ring, MRING_WRITE_END), 1);
    cr_expect_eq(wakes_of(&scene.ring, MRING_READ_END), 1);
    end_scene(&scene);
    close(write_fd);
}

/* ---- sleeping and arming by turns ------------------------------------------------------------ */

struct sleeper {
    struct mring_spsc *ring;
    enum mring_end waits;
    int err;
};

static void *sleep_in_thread(void *context)
{
    struct sleeper *sleeper = context;

    sleeper->err = sleeper->waits == MRING_WRITE_END
                       ? mring_spsc_wait_writable(sleeper->ring, 1, -1)
                       : mring_spsc_wait_readable(sleeper->ring, 1, -1);
    return NULL;
}

Test(mring_spsc_arm, followed_by_a_sleep_leaves_the_descriptor_alone, .timeout = 20)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);
        cr_assert_eq(arm(&scene.ring, ends[i], 1), armed(ends[i]));
        struct sleeper sleeper = { &scene.ring, ends[i], 99 };
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, sleep_in_thread, &sleeper), 0);
        while (arms_of(&scene.ring, ends[i]) < 2)
            usleep(500);
        usleep(5000); /* from the announcement into the kernel */

        cr_assert(give(&scene.ring, ends[i], 1));

        pthread_join(thread, NULL);
        cr_expect_eq(sleeper.err, 0, "%s: %s", name_of(ends[i]), mring_errname(sleeper.err));
        cr_expect_eq(count_of(scene.fd), 0, "%s", name_of(ends[i]));
        cr_expect_eq(wakes_of(&scene.ring, other_than(ends[i])), 1, "%s", name_of(ends[i]));
        end_scene(&scene);
    }
}

/* As above: a sleeper finds out by itself after 50 ms, so what is measured is the sum of many. */
Test(mring_spsc_arm, followed_by_a_sleep_ends_the_sleep_with_a_wake, .timeout = 30)
{
    enum { ROUNDS = 20 };
    int64_t spent = 0;
    struct scene scene;
    new_scene(&scene, MRING_READ_END);

    for (uint32_t round = 1; round <= ROUNDS; round++) {
        uint32_t arms = arms_of(&scene.ring, MRING_READ_END);
        struct sleeper sleeper = { &scene.ring, MRING_READ_END, 99 };
        pthread_t thread;
        cr_assert_eq(mring_spsc_arm_readable(&scene.ring, 1), MRING_EMPTY);
        cr_assert_eq(pthread_create(&thread, NULL, sleep_in_thread, &sleeper), 0);
        while (arms_of(&scene.ring, MRING_READ_END) < arms + 2)
            usleep(200);
        usleep(2000); /* from the announcement into the kernel */
        int64_t before = mring_os_now();
        cr_assert(put(&scene.ring, 1));
        pthread_join(thread, NULL);
        spent += mring_os_now() - before;
        cr_assert(take(&scene.ring, 1));
    }

    cr_expect_lt(spent, ROUNDS * 25 * MILLISECOND, "%lld us", (long long)spent / 1000);
    end_scene(&scene);
}

Test(mring_spsc_arm, after_a_sleep_has_the_descriptor_written_to, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);
        int err = ends[i] == MRING_WRITE_END
                      ? mring_spsc_wait_writable(&scene.ring, 1, MILLISECOND)
                      : mring_spsc_wait_readable(&scene.ring, 1, MILLISECOND);
        cr_assert_eq(err, MRING_TIMED_OUT);
        cr_assert_eq(arm(&scene.ring, ends[i], 1), armed(ends[i]));

        cr_assert(give(&scene.ring, ends[i], 1));

        cr_expect_eq(count_of(scene.fd), 1, "%s", name_of(ends[i]));
        end_scene(&scene);
    }
}

/* A wait that only looks does not announce anything, and so does not undo an arming. */
Test(mring_spsc_arm, survives_a_look, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        new_scene(&scene, ends[i]);
        cr_assert_eq(arm(&scene.ring, ends[i], 1), armed(ends[i]));

        cr_expect_eq(mring_spsc_wait_readable(&scene.ring, smallest(), 0),
                     ends[i] == MRING_WRITE_END ? 0 : MRING_TIMED_OUT);
        cr_expect_eq(mring_spsc_wait_writable(&scene.ring, smallest(), 0),
                     ends[i] == MRING_WRITE_END ? MRING_TIMED_OUT : 0);
        cr_assert(give(&scene.ring, ends[i], 1));

        cr_expect_eq(count_of(scene.fd), 1, "%s", name_of(ends[i]));
        end_scene(&scene);
    }
}

/* ---- poll and epoll, one step at a time ------------------------------------------------------ */

TestSuite(mring_spsc_poll, .init = support_begin, .fini = support_end);

Test(mring_spsc_poll, sees_one_ring_of_many, .timeout = 5)
{
    enum { RINGS = 8 };
    struct scene scenes[RINGS];
    struct pollfd fds[RINGS];
    for (int i = 0; i < RINGS; i++) {
        enum mring_end waits = ends[i % 2];
        new_scene(&scenes[i], waits);
        fds[i] = (struct pollfd){ .fd = scenes[i].fd, .events = POLLIN };
        cr_assert_eq(arm(&scenes[i].ring, waits, 1), armed(waits));
    }
    cr_expect_eq(poll(fds, RINGS, 0), 0);

    for (int i = 0; i < RINGS; i++) {
        enum mring_end waits = ends[i % 2];
        cr_assert(give(&scenes[i].ring, waits, 1));

        cr_expect_eq(poll(fds, RINGS, -1), 1);
        cr_expect_eq(fds[i].revents, POLLIN, "ring %d", i);
        cr_assert(use(&scenes[i].ring, waits, 1));
        cr_expect_eq(arm(&scenes[i].ring, waits, 1), armed(waits));
        cr_expect_eq(poll(fds, RINGS, 0), 0, "ring %d", i);
    }
    for (int i = 0; i < RINGS; i++)
        end_scene(&scenes[i]);
}

static int watch(int epoll_fd, int operation, int fd, uint32_t events, uint32_t number)
{
    struct epoll_event event = { .events = events, .data.u32 = number };

    return epoll_ctl(epoll_fd, operation, fd, &event);
}

static int events_now(int epoll_fd)
{
    struct epoll_event event;

    return epoll_wait(epoll_fd, &event, 1, 0);
}

Test(mring_spsc_poll, works_with_every_kind_of_epoll, .timeout = 5)
{
    static const struct {
        uint32_t events;
        int second_time; /* what epoll says when asked again */
    } rows[] = {
        { EPOLLIN, 1 },
        { EPOLLIN | EPOLLET, 0 },
        { EPOLLIN | EPOLLONESHOT, 0 },
        { EPOLLIN | EPOLLET | EPOLLONESHOT, 0 },
    };

    for (size_t i = 0; i < LENGTH(ends) * LENGTH(rows); i++) {
        enum mring_end waits = ends[i % 2];
        uint32_t events = rows[i / 2].events;
        struct scene scene;
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        new_scene(&scene, waits);
        cr_assert_eq(watch(epoll_fd, EPOLL_CTL_ADD, scene.fd, events, 0), 0);

        for (int round = 0; round < 3; round++) {
            cr_assert_eq(arm(&scene.ring, waits, 10), armed(waits));
            if (events & EPOLLONESHOT)
                cr_assert_eq(watch(epoll_fd, EPOLL_CTL_MOD, scene.fd, events, 0), 0);
            cr_expect_eq(events_now(epoll_fd), 0, "row %zu", i);
            cr_assert(give(&scene.ring, waits, 9));
            cr_expect_eq(events_now(epoll_fd), 0, "row %zu", i);
            cr_assert(give(&scene.ring, waits, 1));
            cr_expect_eq(events_now(epoll_fd), 1, "row %zu", i);
            cr_expect_eq(events_now(epoll_fd), rows[i / 2].second_time, "row %zu", i);
            cr_assert(use(&scene.ring, waits, 10));
        }
        close(epoll_fd);
        end_scene(&scene);
    }
}

/* It comes true between arming and EPOLL_CTL_MOD: that is what the level is for. */
Test(mring_spsc_poll, loses_nothing_when_one_shot_polling_resumes_late, .timeout = 5)
{
    const uint32_t events = EPOLLIN | EPOLLET | EPOLLONESHOT;
    struct scene scene;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    new_scene(&scene, MRING_READ_END);
    cr_assert_eq(watch(epoll_fd, EPOLL_CTL_ADD, scene.fd, events, 0), 0);

    for (int round = 0; round < 3; round++) {
        cr_assert_eq(mring_spsc_arm_readable(&scene.ring, 1), MRING_EMPTY);
        cr_assert(put(&scene.ring, 1));
        cr_assert_eq(watch(epoll_fd, EPOLL_CTL_MOD, scene.fd, events, 0), 0);
        cr_expect_eq(events_now(epoll_fd), 1, "round %d", round);
        cr_assert(take(&scene.ring, 1));
    }
    close(epoll_fd);
    end_scene(&scene);
}

/* ---- loops of two threads: a lost wake-up hangs them ----------------------------------------- */

enum { RINGS = 16 };

/* Of all rings together: more than there is room for. */
static unsigned messages(void)
{
    unsigned enough = RINGS * (unsigned)smallest() / 4;

    return enough < 100000 ? 100000 : enough;
}

/* Many rings with a thread at each end. The messages of a ring are numbered. */
struct loop {
    struct mring_spsc rings[RINGS];
    int fds[RINGS];
    uint64_t sent[RINGS], received[RINGS];
    uint32_t events;
    bool as_told; /* of the thread that does not poll */
};

static struct loop *new_loop(enum mring_end waits, uint32_t events)
{
    struct loop *loop = calloc(1, sizeof *loop);

    cr_assert_not_null(loop);
    for (int i = 0; i < RINGS; i++) {
        loop->rings[i] = new_ring(i % 2 == 0 ? 0 : MRING_FENCE);
        loop->fds[i] = new_eventfd(0);
        cr_assert_eq(mring_spsc_set_eventfd(&loop->rings[i], waits, loop->fds[i]), 0);
    }
    loop->events = events;
    return loop;
}

static void end_loop(struct loop *loop)
{
    for (int i = 0; i < RINGS; i++) {
        mring_spsc_destroy(&loop->rings[i]);
        close(loop->fds[i]);
    }
    free(loop);
}

static int new_epoll(const struct loop *loop)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    cr_assert_geq(epoll_fd, 0);
    for (uint32_t i = 0; i < RINGS; i++)
        cr_assert_eq(watch(epoll_fd, EPOLL_CTL_ADD, loop->fds[i], loop->events, i), 0);
    return epoll_fd;
}

/* All that is there; their number, or UINT64_MAX if one has the wrong number. */
static uint64_t receive(struct loop *loop, unsigned i)
{
    uint64_t message, count = 0;

    for (; mring_spsc_pop(&loop->rings[i], &message, sizeof message); count++)
        if (message != loop->received[i]++)
            return UINT64_MAX;
    return count;
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 16;
}

/* Sends to the rings in disorder, and dawdles, so that the other side often has nothing to do. */
static void *send_to_all(void *context)
{
    struct loop *loop = context;
    unsigned state = 1;

    loop->as_told = true;
    for (unsigned sent = 0; sent < messages() && loop->as_told; sent++) {
        unsigned i = next_random(&state) % RINGS;
        while (loop->as_told &&
               !mring_spsc_push(&loop->rings[i], &loop->sent[i], sizeof loop->sent[i]))
            loop->as_told = mring_spsc_wait_writable(&loop->rings[i], 8, -1) == 0;
        loop->sent[i]++;
        if (next_random(&state) % 64 == 0)
            sched_yield();
    }
    for (unsigned i = 0; i < RINGS; i++)
        mring_spsc_close(&loop->rings[i], MRING_WRITE_END, 0);
    return NULL;
}

/* Takes what there is and arms again. What arm said last, or corrupt for a wrong message. */
static int receive_and_arm(struct loop *loop, unsigned i, uint64_t *count)
{
    int err;

    while ((err = mring_spsc_arm_readable(&loop->rings[i], 1)) == 0) {
        uint64_t received = receive(loop, i);
        if (received == UINT64_MAX)
            return MRING_CORRUPT;
        *count += received;
    }
    return err;
}

static void receive_in_epoll(uint32_t events)
{
    struct loop *loop = new_loop(MRING_READ_END, events);
    int epoll_fd = new_epoll(loop);
    uint64_t count = 0;
    unsigned open = RINGS;
    pthread_t thread;
    for (unsigned i = 0; i < RINGS; i++)
        cr_assert_eq(mring_spsc_arm_readable(&loop->rings[i], 1), MRING_EMPTY);
    cr_assert_eq(pthread_create(&thread, NULL, send_to_all, loop), 0);

    while (open > 0) {
        struct epoll_event ready[RINGS];
        int found = epoll_wait(epoll_fd, ready, RINGS, -1);
        cr_assert_gt(found, 0);
        for (int j = 0; j < found; j++) {
            int err = receive_and_arm(loop, ready[j].data.u32, &count);
            cr_assert(err == MRING_EMPTY || err == MRING_EOF, "%s", mring_errname(err));
            if (err == MRING_EOF) {
                cr_assert_eq(watch(epoll_fd, EPOLL_CTL_DEL, loop->fds[ready[j].data.u32], 0, 0), 0);
                open--;
            }
        }
    }

    pthread_join(thread, NULL);
    cr_expect(loop->as_told);
    cr_expect_eq(count, messages());
    close(epoll_fd);
    end_loop(loop);
}

Test(mring_spsc_poll, of_a_consumer_in_level_triggered_epoll_hears_of_everything, .timeout = 60)
{
    receive_in_epoll(EPOLLIN);
}

Test(mring_spsc_poll, of_a_consumer_in_edge_triggered_epoll_hears_of_everything, .timeout = 60)
{
    receive_in_epoll(EPOLLIN | EPOLLET);
}

/* Goes round all rings; often there is nothing in any, or they are all full. */
static void *receive_from_all(void *context)
{
    struct loop *loop = context;
    unsigned state = 1;

    loop->as_told = true;
    for (uint64_t count = 0; count < messages() && loop->as_told;) {
        unsigned i = next_random(&state) % RINGS;
        uint64_t received = receive(loop, i);
        loop->as_told = received != UINT64_MAX;
        count += received;
        if (received == 0)
            sched_yield();
    }
    for (unsigned i = 0; i < RINGS; i++)
        mring_spsc_close(&loop->rings[i], MRING_READ_END, 0);
    return NULL;
}

/* Sends messages of a ring until it is full and armed, or none is left, which is answered by 0. */
static int send_and_arm(struct loop *loop, unsigned i)
{
    for (;;) {
        while (loop->sent[i] < messages() / RINGS &&
               mring_spsc_push(&loop->rings[i], &loop->sent[i], sizeof loop->sent[i]))
            loop->sent[i]++;
        if (loop->sent[i] == messages() / RINGS)
            return 0;
        int err = mring_spsc_arm_writable(&loop->rings[i], sizeof loop->sent[i]);
        if (err != 0)
            return err;
    }
}

static void send_in_epoll(uint32_t events)
{
    struct loop *loop = new_loop(MRING_WRITE_END, events);
    int epoll_fd = new_epoll(loop);
    unsigned open = 0;
    pthread_t thread;
    cr_assert_eq(messages() % RINGS, 0);
    for (unsigned i = 0; i < RINGS; i++)
        open += send_and_arm(loop, i) == MRING_FULL;
    cr_assert_eq(open, RINGS, "more messages than room");
    cr_assert_eq(pthread_create(&thread, NULL, receive_from_all, loop), 0);

    while (open > 0) {
        struct epoll_event ready[RINGS];
        int found = epoll_wait(epoll_fd, ready, RINGS, -1);
        cr_assert_gt(found, 0);
        for (int j = 0; j < found; j++) {
            int err = send_and_arm(loop, ready[j].data.u32);
            cr_assert(err == MRING_FULL || err == 0, "%s", mring_errname(err));
            if (err == 0) {
                cr_assert_eq(watch(epoll_fd, EPOLL_CTL_DEL, loop->fds[ready[j].data.u32], 0, 0), 0);
                open--;
            }
        }
    }

    pthread_join(thread, NULL);
    cr_expect(loop->as_told);
    for (unsigned i = 0; i < RINGS; i++)
        cr_expect_eq(loop->received[i], messages() / RINGS, "ring %u", i);
    close(epoll_fd);
    end_loop(loop);
}

Test(mring_spsc_poll, of_a_producer_in_level_triggered_epoll_hears_of_everything, .timeout = 60)
{
    send_in_epoll(EPOLLIN);
}

Test(mring_spsc_poll, of_a_producer_in_edge_triggered_epoll_hears_of_everything, .timeout = 60)
{
    send_in_epoll(EPOLLIN | EPOLLET);
}

/* ---- both ends of one ring in poll loops ----------------------------------------------------- */

/* Block until the descriptor is readable. */
static bool await(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    int found;

    do {
        found = poll(&poll_fd, 1, -1);
    } while (found < 0 && errno == EINTR);
    return found == 1;
}

/* Send messages 0 .. count - 1 and close. What went wrong, or NULL. */
static const char *send_polling(struct mring_spsc *ring, int fd, uint64_t count)
{
    for (uint64_t message = 0; message < count;) {
        if (mring_spsc_push(ring, &message, sizeof message)) {
            message++;
            continue;
        }
        int err = mring_spsc_arm_writable(ring, sizeof message);
        EXPECT(err == 0 || err == MRING_FULL);
        EXPECT(err == 0 || await(fd));
    }
    mring_spsc_close(ring, MRING_WRITE_END, 0);
    return NULL;
}

static const char *receive_polling(struct mring_spsc *ring, int fd, uint64_t count)
{
    int err;

    for (uint64_t expected = 0;;) {
        uint64_t message;
        while (mring_spsc_pop(ring, &message, sizeof message))
            EXPECT(message == expected++);
        if ((err = mring_spsc_arm_readable(ring, sizeof message)) == MRING_EOF) {
            EXPECT(expected == count);
            return NULL;
        }
        EXPECT(err == 0 || err == MRING_EMPTY);
        EXPECT(err == 0 || await(fd));
    }
}

/* A ring with a descriptor at each end. */
struct pair {
    struct mring_spsc ring;
    int write_fd, read_fd;
    const char *failure;
};

static bool set_both(struct mring_spsc *ring, const struct pair *pair)
{
    return mring_spsc_set_eventfd(ring, MRING_WRITE_END, pair->write_fd) == 0 &&
           mring_spsc_set_eventfd(ring, MRING_READ_END, pair->read_fd) == 0;
}

static void *send_in_thread(void *context)
{
    struct pair *pair = context;

    pair->failure = send_polling(&pair->ring, pair->write_fd, messages());
    return NULL;
}

Test(mring_spsc_poll, of_both_ends_hears_of_everything, .timeout = 60)
{
    static const unsigned flags[] = { 0, MRING_FENCE };

    for (size_t i = 0; i < LENGTH(flags); i++) {
        struct pair pair = { new_ring(flags[i]), new_eventfd(0), new_eventfd(0), "not run" };
        pthread_t thread;
        cr_assert(set_both(&pair.ring, &pair));
        cr_assert_eq(pthread_create(&thread, NULL, send_in_thread, &pair), 0);

        const char *failure = receive_polling(&pair.ring, pair.read_fd, messages());

        cr_assert_null(failure, "%s", failure);
        pthread_join(thread, NULL);
        cr_expect_null(pair.failure, "%s", pair.failure);
        mring_spsc_destroy(&pair.ring);
        close(pair.write_fd);
        close(pair.read_fd);
    }
}

/* Sends in a forked child: through the handle that it has got, or one of its own for the name. */
static pid_t send_in_child(struct pair *pair, const char *tagname, uint64_t count)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    alarm(30);
    if (tagname != NULL &&
        (mring_spsc_open(&pair->ring, &(struct mring_args){ .tagname = tagname }) != 0 ||
         !set_both(&pair->ring, pair)))
        _exit(2);
    const char *failure = send_polling(&pair->ring, pair->write_fd, count);
    if (failure != NULL)
        fprintf(stderr, "in the child: %s\n", failure);
    _exit(failure != NULL);
}

static void receive_from_child(struct pair *pair, const char *tagname)
{
    const uint64_t count = 10000;
    int status;
    pid_t pid = send_in_child(pair, tagname, count);
    cr_assert_gt(pid, 0);

    const char *failure = receive_polling(&pair->ring, pair->read_fd, count);

    cr_expect_null(failure, "%s", failure);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0, "status %d", status);
    mring_spsc_destroy(&pair->ring);
    close(pair->write_fd);
    close(pair->read_fd);
}

Test(mring_spsc_poll, works_between_processes_that_opened_the_same_name, .timeout = 60)
{
    const char *tagname = support_tagname("ring");
    struct pair pair = { .write_fd = new_eventfd(0), .read_fd = new_eventfd(0) };
    cr_assert_eq(mring_spsc_create(&pair.ring, &(struct mring_args){ .tagname = tagname,
                                                                     .capacity = smallest() }),
                 0);
    cr_assert(set_both(&pair.ring, &pair));

    receive_from_child(&pair, tagname);
}

Test(mring_spsc_poll, works_between_processes_that_share_a_handle_by_fork, .timeout = 60)
{
    struct pair pair = { new_ring(0), new_eventfd(0), new_eventfd(0), NULL };
    cr_assert(set_both(&pair.ring, &pair));

    receive_from_child(&pair, NULL);
}

/* ---- io_uring: one for many rings ------------------------------------------------------------ */

TestSuite(mring_spsc_io_uring, .init = support_begin, .fini = support_end);

#if defined(WITHOUT_LIBURING)

Test(mring_spsc_io_uring, sees_one_ring_of_many, .timeout = 10)
{
    cr_skip_test("built without liburing");
}

Test(mring_spsc_io_uring, of_a_consumer_hears_of_everything, .timeout = 60)
{
    cr_skip_test("built without liburing");
}

Test(mring_spsc_io_uring, of_a_producer_hears_of_everything, .timeout = 60)
{
    cr_skip_test("built without liburing");
}

#else

static void new_uring(struct io_uring *uring)
{
    int err = io_uring_queue_init(4 * RINGS, uring, 0);

    if (err == -ENOSYS || err == -EPERM)
        cr_skip_test("no io_uring for this process: %s", strerror(-err));
    cr_assert_eq(err, 0, "%s", strerror(-err));
}

static void poll_in_uring(struct io_uring *uring, int fd, uint64_t number)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(uring);

    cr_assert_not_null(entry);
    io_uring_prep_poll_add(entry, fd, POLLIN);
    entry->user_data = number;
}

/* The number of the next completion, waiting for it if need be. */
static unsigned next_of_uring(struct io_uring *uring)
{
    struct io_uring_cqe *completion;
    int err;

    do {
        err = io_uring_submit_and_wait(uring, 1);
    } while (err == -EINTR);
    cr_assert_geq(err, 0, "%s", strerror(-err));
    cr_assert_eq(io_uring_peek_cqe(uring, &completion), 0);
    cr_assert(completion->res > 0 && (completion->res & POLLIN), "%d", completion->res);
    unsigned number = (unsigned)completion->user_data;
    io_uring_cqe_seen(uring, completion);
    return number;
}

Test(mring_spsc_io_uring, sees_one_ring_of_many, .timeout = 10)
{
    struct io_uring uring;
    struct io_uring_cqe *completion;
    struct scene scenes[RINGS];
    new_uring(&uring);
    for (unsigned i = 0; i < RINGS; i++) {
        new_scene(&scenes[i], ends[i % 2]);
        cr_assert_eq(arm(&scenes[i].ring, ends[i % 2], 10), armed(ends[i % 2]));
        poll_in_uring(&uring, scenes[i].fd, i);
    }
    cr_assert_eq(io_uring_submit(&uring), RINGS);

    for (unsigned step = 0; step < 2 * RINGS; step++) {
        unsigned i = step * 5 % RINGS; /* in disorder, each of them twice */
        cr_assert(give(&scenes[i].ring, ends[i % 2], 9));
        cr_expect_eq(io_uring_peek_cqe(&uring, &completion), -EAGAIN, "step %u", step);
        cr_assert(give(&scenes[i].ring, ends[i % 2], 1));

        cr_expect_eq(next_of_uring(&uring), i, "step %u", step);
        cr_assert(use(&scenes[i].ring, ends[i % 2], 10));
        cr_assert_eq(arm(&scenes[i].ring, ends[i % 2], 10), armed(ends[i % 2]));
        poll_in_uring(&uring, scenes[i].fd, i);
        cr_assert_eq(io_uring_submit(&uring), 1);
    }
    io_uring_queue_exit(&uring);
    for (unsigned i = 0; i < RINGS; i++)
        end_scene(&scenes[i]);
}

Test(mring_spsc_io_uring, of_a_consumer_hears_of_everything, .timeout = 60)
{
    struct io_uring uring;
    uint64_t count = 0;
    unsigned open = RINGS;
    pthread_t thread;
    new_uring(&uring);
    struct loop *loop = new_loop(MRING_READ_END, 0);
    for (unsigned i = 0; i < RINGS; i++) {
        cr_assert_eq(mring_spsc_arm_readable(&loop->rings[i], 1), MRING_EMPTY);
        poll_in_uring(&uring, loop->fds[i], i);
    }
    cr_assert_eq(pthread_create(&thread, NULL, send_to_all, loop), 0);

    while (open > 0) {
        unsigned i = next_of_uring(&uring);
        int err = receive_and_arm(loop, i, &count);
        cr_assert(err == MRING_EMPTY || err == MRING_EOF, "%s", mring_errname(err));
        if (err == MRING_EMPTY)
            poll_in_uring(&uring, loop->fds[i], i);
        else
            open--;
    }

    pthread_join(thread, NULL);
    cr_expect(loop->as_told);
    cr_expect_eq(count, messages());
    io_uring_queue_exit(&uring);
    end_loop(loop);
}

Test(mring_spsc_io_uring, of_a_producer_hears_of_everything, .timeout = 60)
{
    struct io_uring uring;
    unsigned open = RINGS;
    pthread_t thread;
    new_uring(&uring);
    struct loop *loop = new_loop(MRING_WRITE_END, 0);
    for (unsigned i = 0; i < RINGS; i++) {
        cr_assert_eq(send_and_arm(loop, i), MRING_FULL);
        poll_in_uring(&uring, loop->fds[i], i);
    }
    cr_assert_eq(pthread_create(&thread, NULL, receive_from_all, loop), 0);

    while (open > 0) {
        unsigned i = next_of_uring(&uring);
        int err = send_and_arm(loop, i);
        cr_assert(err == MRING_FULL || err == 0, "%s", mring_errname(err));
        if (err == MRING_FULL)
            poll_in_uring(&uring, loop->fds[i], i);
        else
            open--;
    }

    pthread_join(thread, NULL);
    cr_expect(loop->as_told);
    for (unsigned i = 0; i < RINGS; i++)
        cr_expect_eq(loop->received[i], messages() / RINGS, "ring %u", i);
    io_uring_queue_exit(&uring);
    end_loop(loop);
}

#endif

/* ---- a descriptor that comes late ------------------------------------------------------------ */

/* The other end's handle publishes, in vain, before it is given the descriptor. */
Test(mring_spsc_set_eventfd, signals_at_once_if_something_may_have_been_missed, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_args args = { .tagname = tagname, .capacity = smallest() };
    struct mring_spsc producer, consumer;
    int fd = new_eventfd(0);
    cr_assert_eq(mring_spsc_open(&consumer, &args), 0);
    cr_assert_eq(mring_spsc_open(&producer, &args), 0);
    cr_assert_eq(mring_spsc_set_eventfd(&consumer, MRING_READ_END, fd), 0);
    cr_assert_not(is_readable(fd), "nobody has armed");
    cr_assert_eq(mring_spsc_arm_readable(&consumer, 1), MRING_EMPTY);
    cr_assert(put(&producer, 10));
    cr_assert_not(is_readable(fd), "it has no descriptor");

    cr_expect_eq(mring_spsc_set_eventfd(&producer, MRING_READ_END, fd), 0);

    cr_expect(is_readable(fd));
    mring_spsc_destroy(&producer);
    mring_spsc_destroy(&consumer);
    close(fd);
}

/* ---- ways to publish ------------------------------------------------------------------------- */

/* Each publishes 96 bytes, or room for them, after `prepare_batch`; the ring begins at 0. */
static void by_commit(struct mring_spsc *ring)
{
    cr_assert(put(ring, 96));
}

static void by_push(struct mring_spsc *ring)
{
    unsigned char bytes[96] = { 0 };

    cr_assert(mring_spsc_push(ring, bytes, sizeof bytes));
}

static void by_write(struct mring_spsc *ring)
{
    unsigned char bytes[96] = { 0 };

    cr_assert_eq(mring_spsc_write(ring, bytes, sizeof bytes), sizeof bytes);
}

static void by_push_n(struct mring_spsc *ring)
{
    unsigned char bytes[96] = { 0 };

    cr_assert_eq(mring_spsc_push_n(ring, bytes, 8, 12), 12);
}

static void by_send(struct mring_spsc *ring)
{
    unsigned char bytes[88] = { 0 };

    cr_assert_eq(mring_spsc_send(ring, bytes, sizeof bytes), 0);
}

static void by_flush_of_writes(struct mring_spsc *ring)
{
    cr_assert(put(ring, 96));
    mring_spsc_flush(ring, MRING_WRITE_END);
}

static void by_finding_no_room(struct mring_spsc *ring)
{
    cr_assert(put(ring, 96));
    cr_assert_null(mring_spsc_reserve(ring, smallest()));
}

static void by_consume(struct mring_spsc *ring)
{
    cr_assert(take(ring, 96));
}

static void by_pop(struct mring_spsc *ring)
{
    unsigned char bytes[96];

    cr_assert(mring_spsc_pop(ring, bytes, sizeof bytes));
}

static void by_read(struct mring_spsc *ring)
{
    unsigned char bytes[96];

    cr_assert_eq(mring_spsc_read(ring, bytes, sizeof bytes), sizeof bytes);
}

static void by_pop_n(struct mring_spsc *ring)
{
    unsigned char bytes[96];

    cr_assert_eq(mring_spsc_pop_n(ring, bytes, 8, 12), 12);
}

static void by_flush_of_reads(struct mring_spsc *ring)
{
    cr_assert(take(ring, 96));
    mring_spsc_flush(ring, MRING_READ_END);
}

static void by_finding_no_bytes(struct mring_spsc *ring)
{
    size_t size;

    cr_assert(take(ring, 96));
    cr_assert_null(mring_spsc_peek(ring, smallest(), &size));
}

static const struct way {
    const char *name;
    enum mring_end end;
    void (*publish)(struct mring_spsc *ring);
    uint64_t batch_bytes;
} ways[] = {
    { "commit", MRING_WRITE_END, by_commit, 0 },
    { "commit of a batch", MRING_WRITE_END, by_commit, 96 },
    { "push", MRING_WRITE_END, by_push, 0 },
    { "push of a batch", MRING_WRITE_END, by_push, 96 },
    { "write", MRING_WRITE_END, by_write, 0 },
    { "push_n", MRING_WRITE_END, by_push_n, 0 },
    { "send", MRING_WRITE_END, by_send, 0 },
    { "flush of writes", MRING_WRITE_END, by_flush_of_writes, 1000 },
    { "finding no room", MRING_WRITE_END, by_finding_no_room, 1000 },
    { "consume", MRING_READ_END, by_consume, 0 },
    { "consume of a batch", MRING_READ_END, by_consume, 96 },
    { "consume, with a batch and an armed producer", MRING_READ_END, by_consume, 1000 },
    { "pop", MRING_READ_END, by_pop, 0 },
    { "pop of a batch", MRING_READ_END, by_pop, 96 },
    { "pop, with a batch and an armed producer", MRING_READ_END, by_pop, 1000 },
    { "read", MRING_READ_END, by_read, 0 },
    { "pop_n", MRING_READ_END, by_pop_n, 0 },
    { "flush of reads", MRING_READ_END, by_flush_of_reads, 1000 },
    { "finding no bytes", MRING_READ_END, by_finding_no_bytes, 1000 },
};

/* How often the other end's descriptor is written to when it has armed for `wanted`; 0: has not. */
static uint64_t writes_by(const struct way *way, unsigned flags, size_t wanted)
{
    enum mring_end waits = other_than(way->end);
    struct scene scene;

    new_scene_at(&scene, waits, flags, 0);
    cr_assert_eq(mring_spsc_tune(&scene.ring, way->end,
                                 &(struct mring_tuning){ .batch_bytes = way->batch_bytes }),
                 0);
    if (wanted > 0 && waits == MRING_READ_END)
        cr_assert_eq(mring_spsc_arm_readable(&scene.ring, wanted), MRING_EMPTY);
    else if (wanted > 0)
        cr_assert_eq(mring_spsc_arm_writable(&scene.ring, wanted), MRING_FULL);

    way->publish(&scene.ring);

    uint64_t writes = count_of(scene.fd);
    mring_spsc_destroy(&scene.ring);
    close(scene.fd);
    return writes;
}

Test(mring_spsc_publishing, in_any_way_wakes_a_waiter_that_gets_enough_and_no_other, .timeout = 5)
{
    static const unsigned flags[] = { 0, MRING_FENCE };

    for (size_t i = 0; i < LENGTH(ways); i++) {
        for (size_t j = 0; j < LENGTH(flags); j++) {
            cr_expect_eq(writes_by(&ways[i], flags[j], 96), 1, "%s", ways[i].name);
            cr_expect_eq(writes_by(&ways[i], flags[j], 97), 0, "%s: too little", ways[i].name);
            cr_expect_eq(writes_by(&ways[i], flags[j], 0), 0, "%s: not armed", ways[i].name);
        }
    }
}
