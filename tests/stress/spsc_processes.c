/* SPDX-License-Identifier: MIT */
/*
 * A writing and a reading process share a byte ring by its tagname, and either of them is killed
 * again and again, at any instruction, and started anew. Every byte is a function of its position;
 * each process learns from the ring where to go on. So a byte that a death lost, repeated or spoilt
 * shows.
 *
 *      spsc_processes [times]      that many times the usual number of kills
 */
#define _DEFAULT_SOURCE

#include <mring/spsc.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum role { WRITER, READER, ROLES };

/* What a child's exit code says. */
enum result { DONE, CANNOT_OPEN, WRONG_BYTE, WRONG_ANSWER };

static const uint64_t START_POS = (UINT64_C(1) << 32) - 5000;

static char tagname[64];
static uint64_t capacity;

/* The supervisor tells the writer to end the stream. Shared with the children. */
static mring_atomic_u32 *stop;

static unsigned char byte_at(uint64_t pos)
{
    return (unsigned char)(pos * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

static enum result write_stream(struct mring_spsc *ring)
{
    while (mring_load_acquire_u32(stop) == 0) {
        size_t size = 1 + (size_t)rand() % 700;
        int err = mring_spsc_wait_writable(ring, size, 20000000);
        if (err == MRING_TIMED_OUT)
            continue;
        if (err != 0)
            return WRONG_ANSWER;
        unsigned char *room = mring_spsc_reserve(ring, size);
        for (size_t i = 0; i < size; i++)
            room[i] = byte_at(ring->write_pos + i);
        mring_spsc_commit(ring, size);
    }
    mring_spsc_close(ring, MRING_WRITE_END, 42);
    return DONE;
}

static enum result read_stream(struct mring_spsc *ring)
{
    for (;;) {
        size_t size;
        int err = mring_spsc_wait_readable(ring, 1, -1);
        if (err != 0)
            return err == MRING_EOF ? DONE : WRONG_ANSWER;
        const unsigned char *bytes = mring_spsc_peek(ring, 1, &size);
        if (bytes == NULL)
            return WRONG_ANSWER;
        if (size > 900)
            size = 900;
        for (size_t i = 0; i < size; i++)
            if (bytes[i] != byte_at(ring->read_pos + i))
                return WRONG_BYTE;
        mring_spsc_consume(ring, size);
    }
}

static pid_t start(enum role role, unsigned seed)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    struct mring_spsc ring;
    srand(seed);
    if (mring_spsc_open(&ring, &(struct mring_args){ .tagname = tagname }) != 0)
        _exit(CANNOT_OPEN);
    _exit((int)(role == WRITER ? write_stream(&ring) : read_stream(&ring)));
}

/* Wait for a child. Its exit code, or -1 if it was killed. */
static int reap(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid)
        abort();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Kill and restart at random. The exit code of the first child that ended by itself, or -1. */
static int torment(pid_t pids[ROLES], unsigned kills)
{
    for (unsigned i = 0; i < kills; i++) {
        enum role role = (enum role)(rand() & 1);

        /* Up to 2 ms: some die while they still open the ring, some in the middle of the stream. */
        nanosleep(&(struct timespec){ .tv_nsec = rand() % 2000000 }, NULL);
        kill(pids[role], SIGKILL);
        int result = reap(pids[role]);
        pids[role] = start(role, (unsigned)rand());
        if (result >= 0)
            return result;
    }
    return -1;
}

/* Both sides have ended; what is left must be an empty ring, closed, with many laps behind it. */
static const char *check_end(void)
{
    struct mring_spsc ring;
    uint32_t status = 0;

    if (mring_spsc_open(&ring, &(struct mring_args){ .tagname = tagname }) != 0)
        return "the ring cannot be opened at the end";
    bool closed = mring_spsc_is_closed(&ring, MRING_WRITE_END, &status);
    size_t left = mring_spsc_readable(&ring);
    uint64_t moved = ring.read_pos - START_POS;
    mring_spsc_destroy(&ring);

    printf("%llu bytes through a ring of %llu\n", (unsigned long long)moved,
           (unsigned long long)capacity);
    if (!closed || status != 42)
        return "the ring is not closed at the end";
    if (left != 0)
        return "the reader left bytes behind";
    return moved > 10 * capacity ? NULL : "the stream did not move";
}

static const char *run(unsigned kills)
{
    static const char *const texts[] = { "a side saw an end too early", "the ring cannot be opened",
                                         "a byte is not the one of its position",
                                         "a wait gave a wrong answer" };
    pid_t pids[ROLES] = { start(WRITER, 1), start(READER, 2) };
    int torment_result = torment(pids, kills);

    mring_store_release_u32(stop, 1);
    int writer_result = reap(pids[WRITER]);
    int reader_result = reap(pids[READER]);
    if (torment_result >= 0)
        return texts[torment_result];
    if (writer_result != DONE)
        return writer_result < 0 ? "the writer crashed" : texts[writer_result];
    if (reader_result != DONE)
        return reader_result < 0 ? "the reader crashed" : texts[reader_result];
    return check_end();
}

/* As if that many bytes had gone through the ring already. */
static int make_ring(void)
{
    struct mring_spsc ring;
    int err =
        mring_spsc_create(&ring, &(struct mring_args){ .tagname = tagname, .capacity = capacity });

    if (err != 0)
        return err;
    mring_store_release_u64(&ring.write_side->pos, START_POS);
    mring_store_release_u64(&ring.read_side->pos, START_POS);
    return mring_spsc_destroy(&ring);
}

int main(int argc, char **argv)
{
    const double times = argc > 1 ? strtod(argv[1], NULL) : 1;
    const char *failure;

    stop = mmap(NULL, sizeof *stop, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (stop == MAP_FAILED)
        abort();
    snprintf(tagname, sizeof tagname, "mring-stress-%ld", (long)getpid());
    capacity = mring_capacity(1, 0);

    int err = make_ring();
    failure = err != 0 ? mring_errname(err) : run((unsigned)(1000 * times));
    mmap_unlink(tagname);
    if (failure != NULL)
        printf("%s\n", failure);
    printf("%d passed, %d failed\n", failure == NULL, failure != NULL);
    return failure != NULL;
}
