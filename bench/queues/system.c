/* SPDX-License-Identifier: MIT */
/*
 * What the system has for the purpose: pipe, UNIX socket pair, POSIX message queue; and the floor:
 * a ring of bytes under a mutex, with a condition variable where it has to sleep.
 *
 * Pipe and sockets have the largest buffers that the system gives without privileges, the message
 * queue its default of 10 messages of up to 8 KiB.
 */
#define _GNU_SOURCE /* F_SETPIPE_SZ */

#include "../loops.h"

#include <fcntl.h>
#include <mqueue.h>
#include <mring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define KERNEL_BUFFER_BYTES (1 << 20)

/* ---- pipe and socket pair -------------------------------------------------------------------- */

struct stream {
    int read_fd;
    int write_fd;
};

/* All of the chunk, however the kernel cuts it; false on an error. */
SPECIALIZED bool stream_put(void *end, const void *item, size_t size)
{
    const struct stream *stream = end;

    for (size_t done = 0; done < size;) {
        ssize_t part = write(stream->write_fd, (const unsigned char *)item + done, size - done);
        if (part <= 0)
            return false;
        done += (size_t)part;
    }
    return true;
}

SPECIALIZED bool stream_get(void *end, void *item, size_t size)
{
    const struct stream *stream = end;

    for (size_t done = 0; done < size;) {
        ssize_t part = read(stream->read_fd, (unsigned char *)item + done, size - done);
        if (part <= 0)
            return false;
        done += (size_t)part;
    }
    return true;
}

DEFINE_ITEM_LOOPS(stream, 0, stream_put, stream_get)
DEFINE_ROUND_TRIP_LOOPS(stream, 0, stream_put, stream_get)
DEFINE_WAKE_LOOPS(stream, stream_put, stream_get)

static void *stream_of(const int fds[2])
{
    struct stream *stream = malloc(sizeof *stream);

    if (stream != NULL) {
        *stream = (struct stream){ .read_fd = fds[0], .write_fd = fds[1] };
        return stream;
    }
    close(fds[0]);
    close(fds[1]);
    return NULL;
}

static void *pipe_create(const struct shape *shape)
{
    int fds[2];

    (void)shape;
    if (pipe(fds) != 0)
        return NULL;
    /* If the user's pipes have used up his allowance, it keeps its 64 KiB. */
    fcntl(fds[1], F_SETPIPE_SZ, KERNEL_BUFFER_BYTES);
    return stream_of(fds);
}

static void *socket_create(const struct shape *shape)
{
    int fds[2];
    int bytes = KERNEL_BUFFER_BYTES;

    (void)shape;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return NULL;
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return stream_of(fds);
}

static void stream_destroy(void *queue)
{
    struct stream *stream = queue;

    close(stream->read_fd);
    close(stream->write_fd);
    free(stream);
}

/* ---- POSIX message queue --------------------------------------------------------------------- */

#define MESSAGES_MAX 10   /* /proc/sys/fs/mqueue/msg_max */
#define MESSAGE_MAX  8192 /* msgsize_max */

struct message_queue {
    mqd_t descriptor;
    size_t item_bytes; /* the room that mq_receive() insists on */
};

SPECIALIZED bool message_put(void *end, const void *item, size_t size)
{
    const struct message_queue *queue = end;

    return mq_send(queue->descriptor, item, size, 0) == 0;
}

SPECIALIZED bool message_get(void *end, void *item, size_t size)
{
    const struct message_queue *queue = end;

    (void)size;
    return mq_receive(queue->descriptor, item, queue->item_bytes, NULL) >= 0;
}

DEFINE_ITEM_LOOPS(message, 0, message_put, message_get)
DEFINE_ROUND_TRIP_LOOPS(message, 0, message_put, message_get)
DEFINE_WAKE_LOOPS(message, message_put, message_get)

static void *message_create(const struct shape *shape)
{
    static unsigned number;
    struct message_queue *queue = malloc(sizeof *queue);
    struct mq_attr attributes = { .mq_maxmsg = MESSAGES_MAX,
                                  .mq_msgsize = (long)shape->item_bytes };
    char name[64];

    if (queue == NULL)
        return NULL;
    snprintf(name, sizeof name, "/mring-ringbench-%ld-%u", (long)getpid(), number++);
    queue->item_bytes = shape->item_bytes;
    queue->descriptor = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
    if (queue->descriptor == (mqd_t)-1) {
        free(queue);
        return NULL;
    }
    mq_unlink(name);
    return queue;
}

static void message_destroy(void *context)
{
    struct message_queue *queue = context;

    mq_close(queue->descriptor);
    free(queue);
}

/* ---- ring under a mutex ---------------------------------------------------------------------- */

/* In memory that processes share. */
struct mutex_ring {
    struct mmap map;
    pthread_mutex_t mutex;
    pthread_cond_t moved; /* somebody put or got something */
    uint64_t capacity;    /* bytes */
    uint64_t write_pos;
    uint64_t read_pos;
    MRING_ALIGNAS(MRING_LINE) unsigned char data[];
};

/* How a record's length stands in front of it. */
typedef uint32_t record_length;

SPECIALIZED void copy_in(struct mutex_ring *ring, const void *bytes, size_t size)
{
    size_t offset = (size_t)(ring->write_pos % ring->capacity);
    size_t first = (size_t)ring->capacity - offset;

    if (size <= first) {
        memcpy(ring->data + offset, bytes, size);
    } else {
        memcpy(ring->data + offset, bytes, first);
        memcpy(ring->data, (const unsigned char *)bytes + first, size - first);
    }
    ring->write_pos += size;
}

SPECIALIZED void copy_out(struct mutex_ring *ring, void *bytes, size_t size)
{
    size_t offset = (size_t)(ring->read_pos % ring->capacity);
    size_t first = (size_t)ring->capacity - offset;

    if (size <= first) {
        memcpy(bytes, ring->data + offset, size);
    } else {
        memcpy(bytes, ring->data + offset, first);
        memcpy((unsigned char *)bytes + first, ring->data, size - first);
    }
    ring->read_pos += size;
}

SPECIALIZED size_t readable(const struct mutex_ring *ring)
{
    return (size_t)(ring->write_pos - ring->read_pos);
}

SPECIALIZED size_t writable(const struct mutex_ring *ring)
{
    return (size_t)ring->capacity - readable(ring);
}

SPECIALIZED size_t mutex_put_batch(void *end, const void *items, size_t count, size_t size)
{
    struct mutex_ring *ring = end;

    pthread_mutex_lock(&ring->mutex);
    if (writable(ring) / size < count)
        count = writable(ring) / size;
    if (count > 0)
        copy_in(ring, items, count * size);
    pthread_mutex_unlock(&ring->mutex);
    return count;
}

SPECIALIZED size_t mutex_get_batch(void *end, void *items, size_t count, size_t size)
{
    struct mutex_ring *ring = end;

    pthread_mutex_lock(&ring->mutex);
    if (readable(ring) / size < count)
        count = readable(ring) / size;
    if (count > 0)
        copy_out(ring, items, count * size);
    pthread_mutex_unlock(&ring->mutex);
    return count;
}

SPECIALIZED bool mutex_put(void *end, const void *item, size_t size)
{
    return mutex_put_batch(end, item, 1, size) == 1;
}

SPECIALIZED bool mutex_get(void *end, void *item, size_t size)
{
    return mutex_get_batch(end, item, 1, size) == 1;
}

SPECIALIZED bool mutex_put_record(void *end, const void *record, size_t size)
{
    struct mutex_ring *ring = end;
    record_length length = (record_length)size;

    pthread_mutex_lock(&ring->mutex);
    bool fits = writable(ring) >= sizeof length + size;
    if (fits) {
        copy_in(ring, &length, sizeof length);
        copy_in(ring, record, size);
    }
    pthread_mutex_unlock(&ring->mutex);
    return fits;
}

SPECIALIZED bool mutex_get_record(void *end, void *record, size_t size)
{
    struct mutex_ring *ring = end;
    record_length length;

    (void)size;
    pthread_mutex_lock(&ring->mutex);
    bool there = readable(ring) > 0;
    if (there) {
        copy_out(ring, &length, sizeof length);
        copy_out(ring, record, length);
    }
    pthread_mutex_unlock(&ring->mutex);
    return there;
}

/* The same, asleep until it works. */
SPECIALIZED bool condition_put(void *end, const void *item, size_t size)
{
    struct mutex_ring *ring = end;

    pthread_mutex_lock(&ring->mutex);
    while (writable(ring) < size)
        pthread_cond_wait(&ring->moved, &ring->mutex);
    copy_in(ring, item, size);
    pthread_mutex_unlock(&ring->mutex);
    pthread_cond_signal(&ring->moved);
    return true;
}

SPECIALIZED bool condition_get(void *end, void *item, size_t size)
{
    struct mutex_ring *ring = end;

    pthread_mutex_lock(&ring->mutex);
    while (readable(ring) < size)
        pthread_cond_wait(&ring->moved, &ring->mutex);
    copy_out(ring, item, size);
    pthread_mutex_unlock(&ring->mutex);
    pthread_cond_signal(&ring->moved);
    return true;
}

DEFINE_ITEM_LOOPS(mutex, 0, mutex_put, mutex_get)
DEFINE_BATCH_LOOPS(mutex, 0, mutex_put_batch, mutex_get_batch)
DEFINE_ROUND_TRIP_LOOPS(mutex, 0, mutex_put, mutex_get)
DEFINE_MANY_LOOPS(mutex, mutex_put, mutex_get)
DEFINE_MANY_BATCH_LOOPS(mutex, mutex_put_batch, mutex_get_batch)
DEFINE_RECORD_LOOPS(mutex, mutex_put_record, mutex_get_record)
DEFINE_ITEM_LOOPS(condition, 0, condition_put, condition_get)
DEFINE_ROUND_TRIP_LOOPS(condition, 0, condition_put, condition_get)
DEFINE_WAKE_LOOPS(condition, condition_put, condition_get)

/* Mutex and condition of processes cost a futex's look-up more than those of threads. */
static bool init_lock(struct mutex_ring *ring, bool processes)
{
    int sharing = processes ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE;
    pthread_mutexattr_t mutex;
    pthread_condattr_t condition;

    if (pthread_mutexattr_init(&mutex) != 0)
        return false;
    pthread_mutexattr_setpshared(&mutex, sharing);
    int err = pthread_mutex_init(&ring->mutex, &mutex);
    pthread_mutexattr_destroy(&mutex);
    if (err != 0 || pthread_condattr_init(&condition) != 0)
        return false;
    pthread_condattr_setpshared(&condition, sharing);
    err = pthread_cond_init(&ring->moved, &condition);
    pthread_condattr_destroy(&condition);
    return err == 0;
}

static void mutex_destroy(void *queue)
{
    struct mutex_ring *ring = queue;
    struct mmap map = ring->map;

    pthread_cond_destroy(&ring->moved);
    pthread_mutex_destroy(&ring->mutex);
    mmap_free(&map);
}

static void *mutex_create(const struct shape *shape)
{
    uint64_t capacity = shape->item_bytes * shape->capacity;
    struct mmap map = { 0 };

    if (mmap_map(&map, &(struct mmap_args){ .access = MMAP_WRITE,
                                            .flags = shape->prefault ? MMAP_PREFAULT : 0,
                                            .size = sizeof(struct mutex_ring) + capacity }) != 0)
        return NULL;
    struct mutex_ring *ring = map.addr;
    ring->map = map;
    ring->capacity = capacity;
    if (init_lock(ring, shape->processes))
        return ring;
    mmap_free(&map);
    return NULL;
}

/* ---- tables ---------------------------------------------------------------------------------- */

const struct queue queues_system[] = {
    {
        .name = "pipe",
        .uses = USE_BYTES | USE_ROUND_TRIP | USE_PROCESSES | USE_BLOCKING | USE_WAKE,
        .slow = true,
        .create = pipe_create,
        .destroy = stream_destroy,
        ITEM_LOOPS(stream),
        ROUND_TRIP_LOOPS(stream),
        WAKE_LOOPS(stream),
    },
    {
        .name = "socketpair",
        .uses = USE_BYTES | USE_ROUND_TRIP | USE_PROCESSES | USE_BLOCKING | USE_WAKE,
        .slow = true,
        .create = socket_create,
        .destroy = stream_destroy,
        ITEM_LOOPS(stream),
        ROUND_TRIP_LOOPS(stream),
        WAKE_LOOPS(stream),
    },
    {
        .name = "posix_mq",
        .uses = USE_PROCESSES | USE_BLOCKING | USE_WAKE,
        .chunk_max = MESSAGE_MAX,
        .slow = true,
        .create = message_create,
        .destroy = message_destroy,
        ITEM_LOOPS(message),
        ROUND_TRIP_LOOPS(message),
        WAKE_LOOPS(message),
    },
    {
        .name = "mutex",
        .uses = USE_ITEMS | USE_BATCHES | USE_BYTES | USE_ROUND_TRIP | USE_PROCESSES,
        .slow = true,
        .create = mutex_create,
        .destroy = mutex_destroy,
        .put = mutex_put,
        .get = mutex_get,
        ITEM_LOOPS(mutex),
        BATCH_LOOPS(mutex),
        ROUND_TRIP_LOOPS(mutex),
    },
    {
        .name = "mutex",
        .uses = USE_MANY | USE_MANY_BATCHES,
        .slow = true,
        .create = mutex_create,
        .destroy = mutex_destroy,
        .put = mutex_put,
        .get = mutex_get,
        MANY_LOOPS(mutex),
        MANY_BATCH_LOOPS(mutex),
    },
    {
        .name = "mutex",
        .uses = USE_RECORDS,
        .slow = true,
        .create = mutex_create,
        .destroy = mutex_destroy,
        .put = mutex_put_record,
        .get = mutex_get_record,
        RECORD_LOOPS(mutex),
    },
    {
        .name = "condition",
        .uses = USE_BLOCKING | USE_WAKE,
        .slow = true,
        .create = mutex_create,
        .destroy = mutex_destroy,
        ITEM_LOOPS(condition),
        ROUND_TRIP_LOOPS(condition),
        WAKE_LOOPS(condition),
    },
    { .name = NULL },
};
