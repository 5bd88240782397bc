/* SPDX-License-Identifier: MIT */
/*
 * A server on 127.0.0.1 that sends each line back to where it came from, and prints it.
 *
 *      tee_server PORT         0: any port; it is printed. SIGINT or SIGTERM ends the server
 *
 * A connection has a byte ring, whose two ends are both used by the server's one thread. Bytes are
 * received straight into the ring, lines are found where they lie and sent back from there, and
 * their room is free again when they have been sent:
 *
 *      read_pos         + ready             + searched       write_pos
 *         | complete lines  | without newline    | to be searched |       room       |
 *
 * Lines are printed by a second thread, which gets them as messages through the log ring. So the
 * server never waits for the terminal, but for descriptors only: the log ring has one, too.
 *
 * Everything is bounded, and what is full stops what feeds it. A peer that does not read fills its
 * own ring and is not received from until it does. A standard output that is slow fills the log
 * ring; then nothing is received until that has room.
 */
#define _GNU_SOURCE

#include <mring.h>

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_BYTES ((size_t)64 << 10) /* a connection's ring: the longest line, with its newline */
#define LOG_BYTES  (8 * LINE_BYTES)

/* What the system keeps for each direction of a connection; by itself it would keep megabytes. */
#define SOCKET_BYTES (256 << 10)

struct peer {
    struct peer *next, *previous;
    uint64_t number;
    int fd;
    uint32_t events; /* what epoll is asked for */
    struct mring_spsc ring;
    size_t ready;    /* bytes of lines that were handed to the log, and wait to be sent */
    size_t searched; /* bytes where no newline needs to be looked for, at least `ready` */
    bool ended;      /* the peer will send no more */
};

struct server {
    int epoll_fd, listen_fd, signal_fd, log_fd;
    struct mring_spsc log;
    bool log_is_full; /* log_fd tells when it has room again */
    bool stopped;
    int accept_err;    /* of the last one; not 0: a pause */
    uint64_t accepted; /* connections so far */
    struct peer peers; /* the head of their list, no connection itself */
};

struct log_message {
    uint64_t number; /* the connection's */
    char line[];     /* without newline */
};

/* ---- what all need --------------------------------------------------------------------------- */

static int complain(const char *step, int err)
{
    char message[128];

    fprintf(stderr, "tee_server: %s: %s\n", step, mring_errmsg(err, message, sizeof message));
    return 1;
}

static int watch(const struct server *server, int operation, int fd, uint32_t events, void *source)
{
    struct epoll_event event = { .events = events, .data.ptr = source };

    return epoll_ctl(server->epoll_fd, operation, fd, &event) == 0 ? 0 : errno;
}

static void append(struct peer *list, struct peer *peer)
{
    peer->next = list;
    peer->previous = list->previous;
    list->previous->next = peer;
    list->previous = peer;
}

static void take_out(struct peer *peer)
{
    peer->previous->next = peer->next;
    peer->next->previous = peer->previous;
}

/* ---- the thread that prints ------------------------------------------------------------------ */

static void *print_log(void *argument)
{
    struct mring_spsc *log = argument;

    while (!ferror(stdout)) {
        size_t size;
        const struct log_message *message = mring_spsc_peek_message(log, &size);

        if (message != NULL) {
            printf("%llu: ", (unsigned long long)message->number);
            fwrite(message->line, 1, size - sizeof *message, stdout);
            putchar('\n');
            mring_spsc_consume_message(log, size);
        } else if (fflush(stdout) == 0 && mring_spsc_wait_message(log, -1) != 0) {
            break; /* the server has closed its end, and all is printed */
        }
    }
    int err = ferror(stdout) ? complain("standard output", errno) : 0;
    mring_spsc_close(log, MRING_READ_END, (uint32_t)err);
    return NULL;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/*
 * Hand a line to the thread that prints, if half of the log ring has room, as it has for any line.
 * If not, it is armed by this; the peer queues up behind the others, so that each has its turn.
 */
static bool log_line(struct server *server, struct peer *peer, const char *line, size_t size)
{
    if (server->log_is_full)
        return false;
    int err = mring_spsc_arm_writable(&server->log, LOG_BYTES / 2);
    if (err != 0) {
        server->log_is_full = true;
        server->stopped |= err != MRING_FULL; /* the printer has failed and said so */
        take_out(peer);
        append(&server->peers, peer);
        return false;
    }
    struct log_message *message = mring_spsc_reserve_message(&server->log, sizeof *message + size);
    message->number = peer->number;
    memcpy(message->line, line, size);
    mring_spsc_commit_message(&server->log, sizeof *message + size);
    return true;
}

/* Find complete lines; what was logged is ready to be sent. The last line may lack its newline. */
static void take_lines(struct server *server, struct peer *peer)
{
    size_t size = mring_spsc_readable(&peer->ring);
    const char *bytes = size > 0 ? mring_spsc_peek(&peer->ring, size, &size) : NULL;

    while (peer->ready < size) {
        const char *rest = bytes + peer->searched;
        const char *newline = memchr(rest, '\n', size - peer->searched);
        peer->searched = newline != NULL ? (size_t)(newline - bytes) : size;
        if (newline == NULL && !peer->ended)
            return;
        if (!log_line(server, peer, bytes + peer->ready, peer->searched - peer->ready))
            return;
        peer->searched += newline != NULL;
        peer->ready = peer->searched;
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

static bool may_receive(const struct server *server, struct peer *peer)
{
    return !peer->ended && !server->log_is_full && mring_spsc_writable(&peer->ring) > 0;
}

static int send_lines(struct peer *peer)
{
    while (peer->ready > 0) {
        size_t moved;
        int err = mring_spsc_drain_send(&peer->ring, peer->fd, peer->ready, 0, &moved);
        if (err != 0)
            return err == MRING_WOULD_BLOCK ? 0 : err;
        peer->ready -= moved;
        peer->searched -= moved;
    }
    return 0;
}

/* Ask epoll for what could be done, and for nothing else, or it would report that all the time. */
static int update_events(const struct server *server, struct peer *peer)
{
    uint32_t events = may_receive(server, peer) ? EPOLLIN : 0;

    if (peer->ready > 0)
        events |= EPOLLOUT;
    if (events == peer->events)
        return 0;
    peer->events = events;
    return watch(server, EPOLL_CTL_MOD, peer->fd, events, peer);
}

/*
 * Move what can be moved. Not 0: the connection is over; MRING_EOF: and all was sent back. Receive
 * once only, so that all peers have their turn: epoll tells when there is more.
 */
static int advance(struct server *server, struct peer *peer)
{
    size_t moved;
    int err = MRING_WOULD_BLOCK;

    if (may_receive(server, peer))
        err = mring_spsc_fill_recv(&peer->ring, peer->fd, SIZE_MAX, 0, &moved);
    peer->ended |= err == MRING_EOF;
    if (err != 0 && err != MRING_EOF && err != MRING_WOULD_BLOCK)
        return err;
    take_lines(server, peer);
    err = send_lines(peer);
    if (err != 0)
        return err;
    if (peer->searched - peer->ready == mring_spsc_capacity(&peer->ring))
        return MRING_TOO_LARGE;
    if (peer->ended && mring_spsc_readable(&peer->ring) == 0)
        return MRING_EOF;
    return update_events(server, peer);
}

static void drop(struct peer *peer)
{
    take_out(peer);
    if (peer->fd >= 0)
        close(peer->fd);
    mring_spsc_destroy(&peer->ring);
    free(peer);
}

static void serve(struct server *server, struct peer *peer, uint32_t events)
{
    char name[40];
    int err = 0;

    /* A broken connection is reported whatever epoll was asked for, and until it is closed. */
    if (events & (EPOLLERR | EPOLLHUP))
        getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){ sizeof err });
    if (err == 0)
        err = events & EPOLLHUP ? ECONNRESET : advance(server, peer);
    if (err == 0)
        return;
    snprintf(name, sizeof name, "connection %llu", (unsigned long long)peer->number);
    if (err != MRING_EOF)
        complain(name, err);
    drop(peer);
}

/*
 * Make room for a connection first, then accept one: who cannot be served yet waits in the queue of
 * the system. The ring is MRING_NOWAIT, as one thread has both its ends: nobody sleeps there.
 */
static int accept_peer(struct server *server)
{
    const struct mring_args args = { .capacity = LINE_BYTES, .flags = MRING_NOWAIT };
    struct peer *peer = calloc(1, sizeof *peer);

    if (peer == NULL)
        return ENOMEM;
    peer->fd = -1;
    append(&server->peers, peer);
    int err = mring_spsc_create(&peer->ring, &args);
    if (err == 0) {
        peer->fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        err = peer->fd < 0 ? errno : 0;
    }
    if (err == 0) {
        peer->number = ++server->accepted;
        peer->events = EPOLLIN;
        err = watch(server, EPOLL_CTL_ADD, peer->fd, EPOLLIN, peer);
    }
    if (err != 0)
        drop(peer);
    return err;
}

/* Without descriptors or memory, do not try again before something else happens, or a second. */
static void accept_or_pause(struct server *server)
{
    int err = accept_peer(server);

    if (err == EAGAIN || err == EINTR || err == ECONNABORTED)
        err = 0; /* that one has changed its mind */
    if (err != 0 && err != server->accept_err)
        complain("accept", err);
    if (err != 0)
        watch(server, EPOLL_CTL_MOD, server->listen_fd, 0, &server->listen_fd);
    server->accept_err = err;
}

/* The log ring has room again: go on with all peers, the last one refused last. */
static void resume(struct server *server)
{
    struct peer *next;

    server->log_is_full = false;
    for (struct peer *peer = server->peers.next; peer != &server->peers; peer = next) {
        next = peer->next;
        serve(server, peer, 0);
    }
}

/* ---- the server ------------------------------------------------------------------------------ */

static int run(struct server *server)
{
    struct epoll_event events[32];

    while (!server->stopped) {
        int count = epoll_wait(server->epoll_fd, events, 32, server->accept_err != 0 ? 1000 : -1);
        bool log_has_room = false;

        if (count < 0 && errno != EINTR)
            return complain("epoll_wait", errno);
        if (server->accept_err != 0)
            watch(server, EPOLL_CTL_MOD, server->listen_fd, EPOLLIN, &server->listen_fd);
        for (int i = 0; i < count; i++) {
            void *source = events[i].data.ptr;

            if (source == &server->signal_fd)
                server->stopped = true;
            else if (source == &server->log_fd)
                log_has_room = true;
            else if (source == &server->listen_fd)
                accept_or_pause(server);
            else
                serve(server, source, events[i].events);
        }
        if (log_has_room) /* not before: it may drop a peer that is among the events */
            resume(server);
    }
    return 0;
}

static bool set_option(int fd, int option, int value)
{
    return setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0;
}

/* Whoever is accepted has the same buffers. */
static int listen_on(uint16_t port)
{
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr *any = (struct sockaddr *)&addr;
    socklen_t size = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || !set_option(fd, SO_REUSEADDR, 1) || !set_option(fd, SO_RCVBUF, SOCKET_BYTES) ||
        !set_option(fd, SO_SNDBUF, SOCKET_BYTES) || bind(fd, any, size) != 0 ||
        listen(fd, SOMAXCONN) != 0 || getsockname(fd, any, &size) != 0)
        return -1;
    printf("listening on %u\n", (unsigned)ntohs(addr.sin_port));
    return fflush(stdout) == 0 ? fd : -1;
}

/* The signals are blocked in both threads, and read as an event like all others. */
static int open_signals(void)
{
    sigset_t signals;

    signal(SIGPIPE, SIG_IGN); /* an error of standard output is found where it is written */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int start(struct server *server, uint16_t port)
{
    server->peers.next = server->peers.previous = &server->peers;
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->signal_fd = open_signals();
    server->log_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (server->epoll_fd < 0 || server->signal_fd < 0 || server->log_fd < 0)
        return errno;
    int err = mring_spsc_create(&server->log, &(struct mring_args){ .capacity = LOG_BYTES });
    if (err == 0)
        err = mring_spsc_set_eventfd(&server->log, MRING_WRITE_END, server->log_fd);
    if (err == 0)
        err = watch(server, EPOLL_CTL_ADD, server->signal_fd, EPOLLIN, &server->signal_fd);
    /* Edge-triggered: it stays readable until somebody arms again, and perhaps nobody does. */
    if (err == 0)
        err = watch(server, EPOLL_CTL_ADD, server->log_fd, EPOLLIN | EPOLLET, &server->log_fd);
    if (err != 0)
        return err;
    server->listen_fd = listen_on(port);
    if (server->listen_fd < 0)
        return errno;
    return watch(server, EPOLL_CTL_ADD, server->listen_fd, EPOLLIN, &server->listen_fd);
}

int main(int argc, char **argv)
{
    struct server server = { 0 };
    pthread_t printer;
    uint32_t failed = 0;
    char *end;

    unsigned long port = argc == 2 ? strtoul(argv[1], &end, 10) : ULONG_MAX;
    if (port > UINT16_MAX || end == argv[1] || *end != '\0') {
        fprintf(stderr, "usage: tee_server PORT\n");
        return 2;
    }
    int err = start(&server, (uint16_t)port);
    if (err == 0)
        err = pthread_create(&printer, NULL, print_log, &server.log);
    if (err != 0)
        return complain("start", err);
    int result = run(&server);

    while (server.peers.next != &server.peers)
        drop(server.peers.next);
    mring_spsc_close(&server.log, MRING_WRITE_END, 0); /* the printer prints what is there, ends */
    pthread_join(printer, NULL);
    mring_spsc_is_closed(&server.log, MRING_READ_END, &failed);
    mring_spsc_destroy(&server.log);
    return result != 0 || failed != 0;
}
