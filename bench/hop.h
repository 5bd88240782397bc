/* SPDX-License-Identifier: MIT */
/*
 * A chunk that goes from a ring into a socket, and from the other end of the socket pair into the
 * ring again, over each of the four storages: the loops of mirror/io, see mirror.c.
 *
 *      DEFINE_LOOP(io_skip, hop_loop(share, hop_skip))
 *
 * `share->end` is the ring, `share->back` the wire. socketpair() and its kin take an _XOPEN_SOURCE
 * of 700 under -std=c11, which the file that includes this one defines before anything else.
 */
#ifndef BENCH_HOP_H
#define BENCH_HOP_H

#include "storage.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- the wire -------------------------------------------------------------------------------- */

/*
 * Two ends of a stream; neither blocks, so that a chunk too large for it fails and does not hang.
 * An end that is not open is -1.
 */
struct wire {
    int near;
    int far;
};

/* Returns what went wrong, or NULL; wire_close() follows in any case. */
static inline const char *wire_open(struct wire *wire, size_t chunk_bytes)
{
    int ends[2];
    int room = (int)(4 * chunk_bytes);

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return "socketpair() failed";
    *wire = (struct wire){ ends[0], ends[1] };
    if (setsockopt(wire->near, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) != 0)
        return "setsockopt() failed";
    if (fcntl(wire->near, F_SETFL, O_NONBLOCK) != 0 || fcntl(wire->far, F_SETFL, O_NONBLOCK) != 0)
        return "fcntl() failed";
    return NULL;
}

static inline void wire_close(struct wire *wire)
{
    if (wire->near >= 0)
        close(wire->near);
    if (wire->far >= 0)
        close(wire->far);
}

static inline bool wire_send(const struct wire *wire, const void *bytes, size_t size)
{
    return send(wire->near, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static inline bool wire_receive(const struct wire *wire, void *bytes, size_t size)
{
    return recv(wire->far, bytes, size, 0) == (ssize_t)size;
}

/* One piece goes by the plain call, which costs less than a vector of one. */
static inline bool wire_send_spans(const struct wire *wire, const struct spans *spans)
{
    struct iovec pieces[2] = { { spans->first, spans->first_size },
                               { spans->second, spans->second_size } };

    if (spans->second_size == 0)
        return wire_send(wire, spans->first, spans->first_size);
    return writev(wire->near, pieces, 2) == (ssize_t)(spans->first_size + spans->second_size);
}

static inline bool wire_receive_spans(const struct wire *wire, const struct spans *spans)
{
    struct iovec pieces[2] = { { spans->first, spans->first_size },
                               { spans->second, spans->second_size } };

    if (spans->second_size == 0)
        return wire_receive(wire, spans->first, spans->first_size);
    return readv(wire->far, pieces, 2) == (ssize_t)(spans->first_size + spans->second_size);
}

/* ---- the variants ---------------------------------------------------------------------------- */

/* One chunk out of the ring and in again. False if a call did not move all it was given. */
typedef bool hop(const struct share *share, const struct wire *wire, size_t size);

SPECIALIZED bool hop_mirrored(const struct share *share, const struct wire *wire, size_t size)
{
    struct mring_spsc *ring = share->end;
    size_t readable;
    const void *bytes = mring_spsc_peek(ring, size, &readable);

    if (bytes == NULL || !wire_send(wire, bytes, size))
        return false;
    mring_spsc_consume(ring, size);

    void *room = mring_spsc_reserve(ring, size);
    if (room == NULL || !wire_receive(wire, room, size))
        return false;
    mring_spsc_commit(ring, size);
    return true;
}

SPECIALIZED bool hop_split_calls(const struct share *share, const struct wire *wire, size_t size)
{
    struct mring_spsc *ring = share->end;
    struct spans spans;

    if (!split_peek(ring, size, &spans) || !wire_send(wire, spans.first, spans.first_size))
        return false;
    if (spans.second_size > 0 && !wire_send(wire, spans.second, spans.second_size))
        return false;
    mring_spsc_consume(ring, size);

    if (!split_reserve(ring, size, &spans) || !wire_receive(wire, spans.first, spans.first_size))
        return false;
    if (spans.second_size > 0 && !wire_receive(wire, spans.second, spans.second_size))
        return false;
    mring_spsc_commit(ring, size);
    return true;
}

SPECIALIZED bool hop_split_vector(const struct share *share, const struct wire *wire, size_t size)
{
    struct mring_spsc *ring = share->end;
    struct spans spans;

    if (!split_peek(ring, size, &spans) || !wire_send_spans(wire, &spans))
        return false;
    mring_spsc_consume(ring, size);

    if (!split_reserve(ring, size, &spans) || !wire_receive_spans(wire, &spans))
        return false;
    mring_spsc_commit(ring, size);
    return true;
}

typedef void *reserve_record(struct mring_spsc *ring, size_t size);

SPECIALIZED bool hop_records(const struct share *share, const struct wire *wire, size_t size,
                             next_record *next, reserve_record *reserve)
{
    struct mring_spsc *ring = share->end;
    uint64_t pos = ring->read_pos;
    size_t length = 0;

    if (!records_peek(ring))
        return false;
    const void *record = next(ring, &pos, &length);
    if (record == NULL || length != size || !wire_send(wire, record, length))
        return false;
    records_consume(ring, pos);

    void *room = reserve(ring, size);
    if (room == NULL || !wire_receive(wire, room, size))
        return false;
    records_commit(ring, size);
    return true;
}

SPECIALIZED bool hop_skip(const struct share *share, const struct wire *wire, size_t size)
{
    return hop_records(share, wire, size, skip_next, skip_reserve);
}

SPECIALIZED bool hop_doubled(const struct share *share, const struct wire *wire, size_t size)
{
    return hop_records(share, wire, size, doubled_next, doubled_reserve);
}

SPECIALIZED bool hop_one_buffer(const struct share *share, const struct wire *wire, size_t size)
{
    return wire_send(wire, share->destination, size) &&
           wire_receive(wire, share->destination, size);
}

/* ---- the loop -------------------------------------------------------------------------------- */

SPECIALIZED void hop_loop(struct share *share, hop *go)
{
    uint64_t left = share->count;

    while (left > 0 && go(share, share->back, share->item_bytes))
        left--;
    share->mismatch = left;
}

#endif
