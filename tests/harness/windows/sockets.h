/* SPDX-License-Identifier: MIT */
/* Sockets of Windows for sys/socket.h, without its names, which those of Winsock are as well. */
#ifndef MRING_HARNESS_SOCKETS_H
#define MRING_HARNESS_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A pair of connected ones of the loopback interface, whatever the family. */
int windows_socketpair(int family, int type, int protocol, int fds[2]);
ssize_t windows_send(int fd, const void *bytes, size_t size, int flags);
ssize_t windows_recv(int fd, void *bytes, size_t size, int flags);
int windows_shutdown(int fd, int how);
int windows_setsockopt(int fd, int level, int what, const void *value, int size);

/* How much there is to read. */
int windows_pending(int fd, int *count);

/* Whether it is one of those; if so, closed. */
bool windows_is_socket(int fd);
void windows_close_socket(int fd);

#endif
