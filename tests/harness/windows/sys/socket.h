/* SPDX-License-Identifier: MIT */
/* Here and not in posix.h, since a test may have a send() of its own. */
#ifndef MRING_HARNESS_SOCKET_H
#define MRING_HARNESS_SOCKET_H

#pragma GCC system_header

#include "../posix.h"
#include "../sockets.h"

#define AF_UNIX        1
#define AF_INET        2
#define SOCK_STREAM    1
#define SOCK_DGRAM     2
#define SOCK_SEQPACKET 5
#define SOCK_NONBLOCK  0x800
#define SOCK_CLOEXEC   0x80000
#define SOL_SOCKET     0xffff
#define SO_SNDBUF      0x1001
#define SO_RCVBUF      0x1002
#define SO_ERROR       0x1007
#define MSG_PEEK       2
#define MSG_WAITALL    8
#define MSG_TRUNC      0x100
#define MSG_DONTWAIT   WINDOWS_LACKS_FLAG_
#define MSG_NOSIGNAL   0
#define SHUT_WR        1

#define socketpair(family, type, protocol, fds)  windows_socketpair(family, type, protocol, fds)
#define send(fd, bytes, size, flags)             windows_send(fd, bytes, size, flags)
#define recv(fd, bytes, size, flags)             windows_recv(fd, bytes, size, flags)
#define shutdown(fd, how)                        windows_shutdown(fd, how)
#define setsockopt(fd, level, what, value, size) windows_setsockopt(fd, level, what, value, size)
#define socket(family, type, protocol)           windows_socket(family, type, protocol)

LACKS_(int, windows_socket, int family, int type, int protocol)

/* What examples of servers need further. */
#define SO_REUSEADDR 4
#define SO_LINGER    0x80
#define SOMAXCONN    128
typedef int socklen_t;
struct sockaddr;
struct linger {
    int l_onoff, l_linger;
};
LACKS_(int, bind, int fd, const struct sockaddr *address, socklen_t size)
LACKS_(int, connect, int fd, const struct sockaddr *address, socklen_t size)
LACKS_(int, listen, int fd, int backlog)
LACKS_(int, accept4, int fd, struct sockaddr *address, socklen_t *size, int flags)
LACKS_(int, getsockname, int fd, struct sockaddr *address, socklen_t *size)
LACKS_(int, getsockopt, int fd, int level, int what, void *value, socklen_t *size)

#endif
