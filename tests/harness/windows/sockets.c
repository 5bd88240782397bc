/* SPDX-License-Identifier: MIT */
#include "sockets.h"

/* Before windows.h, which has an older one otherwise. */
#include <winsock2.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <windows.h>

enum { HANDLES = 1 << 16 };
static bool is_socket[HANDLES];

static SOCKET socket_of(int fd)
{
    return (SOCKET)fd;
}

bool windows_is_socket(int fd)
{
    return fd >= 0 && fd < HANDLES && is_socket[fd];
}

void windows_close_socket(int fd)
{
    is_socket[fd] = false;
    closesocket(socket_of(fd));
}

/* Connected to each other by the address of the first one, which nobody else knows. */
static bool connect_pair(SOCKET first, SOCKET second)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int size = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return bind(first, (struct sockaddr *)&address, size) == 0 &&
           getsockname(first, (struct sockaddr *)&address, &size) == 0 &&
           (listen(first, 1) == 0 || WSAGetLastError() == WSAEOPNOTSUPP) &&
           connect(second, (struct sockaddr *)&address, size) == 0;
}

static SOCKET accept_stream(SOCKET listener)
{
    SOCKET stream = accept(listener, NULL, NULL);

    closesocket(listener);
    return stream;
}

/* No more than a test would fill; before they are connected. */
static void keep_small(SOCKET socket)
{
    int bytes = 8192;

    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, (char *)&bytes, sizeof bytes);
    setsockopt(socket, SOL_SOCKET, SO_RCVBUF, (char *)&bytes, sizeof bytes);
}

/* The other way, too, for those without connections. */
static bool connect_back(SOCKET first, SOCKET second)
{
    struct sockaddr_in address;
    int size = sizeof address;

    return getsockname(second, (struct sockaddr *)&address, &size) == 0 &&
           connect(first, (struct sockaddr *)&address, size) == 0;
}

static bool enter(int *fd, SOCKET socket, bool nonblocking)
{
    u_long mode = nonblocking;

    if (socket == INVALID_SOCKET || socket >= HANDLES ||
        ioctlsocket(socket, (long)FIONBIO, &mode) != 0)
        return false;
    is_socket[socket] = true;
    *fd = (int)socket;
    return true;
}

int windows_socketpair(int family, int type, int protocol, int fds[2])
{
    WSADATA data;
    int kind = type & 7;
    bool has_messages = kind != SOCK_STREAM;
    bool nonblocking = (type & 0x800) != 0; /* SOCK_NONBLOCK of sys/socket.h */

    (void)family;
    (void)protocol;
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return -1;
    SOCKET first = socket(AF_INET, has_messages ? SOCK_DGRAM : SOCK_STREAM, 0);
    SOCKET second = socket(AF_INET, has_messages ? SOCK_DGRAM : SOCK_STREAM, 0);
    keep_small(first);
    keep_small(second);
    if (!connect_pair(first, second) || (has_messages && !connect_back(first, second)))
        return -1;
    if (!has_messages)
        first = accept_stream(first);
    return enter(&fds[0], first, nonblocking) && enter(&fds[1], second, nonblocking) ? 0 : -1;
}

static ssize_t result_of(int count)
{
    if (count < 0)
        errno = WSAGetLastError() == WSAEWOULDBLOCK ? EAGAIN : EIO;
    return count;
}

ssize_t windows_send(int fd, const void *bytes, size_t size, int flags)
{
    return result_of(send(socket_of(fd), bytes, (int)size, flags));
}

ssize_t windows_recv(int fd, void *bytes, size_t size, int flags)
{
    return result_of(recv(socket_of(fd), bytes, (int)size, flags));
}

int windows_pending(int fd, int *count)
{
    u_long there = 0;

    if (ioctlsocket(socket_of(fd), (long)FIONREAD, &there) != 0)
        return -1;
    *count = (int)there;
    return 0;
}

int windows_shutdown(int fd, int how)
{
    return shutdown(socket_of(fd), how);
}

int windows_setsockopt(int fd, int level, int what, const void *value, int size)
{
    return setsockopt(socket_of(fd), level, what, value, size);
}
