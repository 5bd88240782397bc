/* SPDX-License-Identifier: MIT */
/*
 * The other side of tee_server, for its test: send lines over many connections at the same time, in
 * pieces of odd sizes, and compare what comes back, byte by byte.
 *
 *      tee_client PORT > expected
 *
 * Standard output is what the server has to print, connection by connection. Exit status: 0, or 1
 * if the server did anything else than it promises.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_BYTES  ((size_t)64 << 10) /* the longest line, with its newline, as in tee_server.c */
#define CONNECTIONS 8
#define USUAL_BYTES ((size_t)512 << 10) /* what a connection sends */
#define LARGE_BYTES ((size_t)4 << 20)   /* more than sockets and the server's ring hold together */
#define STALLED_MS  1500 /* of silence, after which the server is said to take no more */
#define PATIENCE_S  60   /* after which it is said to hang */

struct connection {
    int fd;
    const char *bytes; /* all that is sent, and is to come back */
    size_t size, sent, received;
    bool sends_first; /* until the server takes no more, which it has to do */
};

/* Give up unless the server does what it promises, or when the system does not. */
static void need(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "tee_client: failed: %s (last system error: %s)\n", what, strerror(errno));
    exit(1);
}

/* A fixed sequence, the same for each run: from 1 to `most`. */
static size_t random_up_to(size_t most)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % most) + 1;
}

static int connect_to(uint16_t port)
{
    const struct sockaddr_in addr = { .sin_family = AF_INET,
                                      .sin_port = htons(port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int room = 256 << 10; /* as at the server: less than LARGE_BYTES, all together */
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    need(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0 &&
             setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) == 0 &&
             connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0,
         "connect");
    return fd;
}

/* Lines of any bytes: the longest possible, then short, long and empty ones. */
static void make_lines(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)('\n' + random_up_to(255)); /* all but a newline */
    for (size_t pos = LINE_BYTES; pos < size;) {
        bytes[pos - 1] = '\n';
        pos += random_up_to(random_up_to(8) == 1 ? LINE_BYTES : 200);
    }
    bytes[size - 1] = '\n';
}

/* What the server prints for them. */
static void print_lines(const struct connection *connection, size_t number)
{
    const char *end = connection->bytes + connection->size;

    for (const char *line = connection->bytes, *next; line < end; line = next + 1) {
        next = memchr(line, '\n', (size_t)(end - line));
        if (next == NULL)
            next = end;
        printf("%zu: ", number);
        fwrite(line, 1, (size_t)(next - line), stdout);
        putchar('\n');
    }
}

/* The last piece ends this direction of the connection; the other one goes on. */
static void send_piece(struct connection *connection)
{
    size_t piece = random_up_to(20000), rest = connection->size - connection->sent;
    ssize_t sent = send(connection->fd, connection->bytes + connection->sent,
                        piece < rest ? piece : rest, MSG_NOSIGNAL | MSG_DONTWAIT);

    need(sent >= 0, "send");
    connection->sent += (size_t)sent;
    if (connection->sent < connection->size)
        return;
    need(!connection->sends_first, "the server takes no more than it has room for");
    need(shutdown(connection->fd, SHUT_WR) == 0, "shut down");
}

/* False at the end of what comes back. */
static bool receive_piece(struct connection *connection)
{
    char piece[7001];
    ssize_t size = recv(connection->fd, piece, random_up_to(sizeof piece), 0);

    need(size >= 0, "receive");
    need((size_t)size <= connection->sent - connection->received &&
             memcmp(piece, connection->bytes + connection->received, (size_t)size) == 0,
         "what comes back is what was sent");
    connection->received += (size_t)size;
    return size > 0;
}

/* Move a piece in the directions that poll has found open. False: the connection is over. */
static bool advance(struct connection *connection, short found)
{
    if (found & POLLOUT)
        send_piece(connection);
    if ((found & ~POLLOUT) == 0 || receive_piece(connection))
        return true;
    need(connection->received == connection->size, "all comes back before the end");
    close(connection->fd);
    connection->fd = -1; /* which poll ignores */
    return false;
}

/* Serve all connections until each of them has come to its end. */
static void exchange(struct connection *connections)
{
    struct pollfd polled[CONNECTIONS];

    for (int open = CONNECTIONS; open > 0;) {
        for (int i = 0; i < CONNECTIONS; i++) {
            bool sends = connections[i].sent < connections[i].size;
            bool receives = !connections[i].sends_first;
            polled[i].fd = connections[i].fd;
            polled[i].events = (short)((sends ? POLLOUT : 0) | (receives ? POLLIN : 0));
        }
        int count = poll(polled, CONNECTIONS, connections[0].sends_first ? STALLED_MS : -1);
        need(count >= 0, "poll");
        if (count == 0)
            connections[0].sends_first = false;
        for (int i = 0; i < CONNECTIONS; i++)
            open -= polled[i].revents != 0 && !advance(&connections[i], polled[i].revents);
    }
}

/* Hang up in the middle of a line, without a good-bye: nothing of it is printed. */
static void break_off(uint16_t port)
{
    const struct linger at_once = { .l_onoff = 1 };
    int fd = connect_to(port);

    need(send(fd, "broken", 6, MSG_NOSIGNAL) == 6 &&
             setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0 && close(fd) == 0,
         "break off");
}

/* A line that is too long: what came before it is sent back, then the server hangs up. */
static void overflow(uint16_t port)
{
    static char bytes[2 * LINE_BYTES];
    int fd = connect_to(port);

    need(send(fd, "short\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, bytes, 6, MSG_WAITALL) == 6 &&
             memcmp(bytes, "short\n", 6) == 0,
         "a short line comes back");
    printf("%d: short\n", CONNECTIONS + 2);
    memset(bytes, 'x', sizeof bytes);
    for (size_t rest = sizeof bytes; rest > 0;) {
        ssize_t sent = send(fd, bytes, rest, MSG_NOSIGNAL);
        if (sent < 0)
            break;
        rest -= (size_t)sent;
    }
    ssize_t received = recv(fd, bytes, 1, 0);
    need(received == 0 || (received < 0 && errno == ECONNRESET), "a long line is hung up on");
    close(fd);
}

int main(int argc, char **argv)
{
    static char lines[LARGE_BYTES];
    struct connection connections[CONNECTIONS] = {
        { .bytes = lines, .size = sizeof lines, .sends_first = true }
    };
    unsigned long port = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;

    if (port == 0 || port > UINT16_MAX) {
        fprintf(stderr, "usage: tee_client PORT\n");
        return 2;
    }
    alarm(PATIENCE_S);
    make_lines(lines, sizeof lines);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (i > 0) /* others' bytes would be noticed; the last line lacks its newline */
            connections[i] = (struct connection){ .bytes = lines + i * 10007, .size = USUAL_BYTES };
        print_lines(&connections[i], i + 1);
        connections[i].fd = connect_to((uint16_t)port);
    }
    exchange(connections);
    break_off((uint16_t)port);
    overflow((uint16_t)port);
    need(fflush(stdout) == 0, "standard output");
    return 0;
}
