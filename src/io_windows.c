/* SPDX-License-Identifier: MIT */
/*
 * Moving bytes through descriptors: Windows. Those of the C runtime, and sockets, which are not
 * among them there. Errors are the codes of GetLastError(), of which those of sockets are a part.
 */
#include "io_os.h"

/* Before windows.h, which has an older one otherwise. */
#include <winsock2.h>

#include <mswsock.h>

#include "handle_windows.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdlib.h>
#include <windows.h>

/* No call moves more, on any system; what is left is for the next one. */
#define MOST ((size_t)1 << 30)

/* ---- descriptors of the C runtime ------------------------------------------------------------ */

/* A ring has bytes and no lines: the descriptor gives them as they are, from now on. */
static int read_once(int fd, void *bytes, size_t size)
{
    mring_crt_handler previous = mring_begin_crt_call();

    _doserrno = 0;
    int moved = _setmode(fd, _O_BINARY) < 0 ? -1 : _read(fd, bytes, (unsigned)size);

    mring_end_crt_call(previous);
    return moved;
}

static int write_once(int fd, const void *bytes, size_t size)
{
    mring_crt_handler previous = mring_begin_crt_call();

    _doserrno = 0;
    int moved = _setmode(fd, _O_BINARY) < 0 ? -1 : _write(fd, bytes, (unsigned)size);

    mring_end_crt_call(previous);
    return moved;
}

/* Who fails without asking the system leaves 0: it has found no descriptor, or that a pipe which
   does not block takes nothing. */
static int error_of_descriptor(void)
{
    if (_doserrno != 0)
        return (int)_doserrno;
    return errno == ENOSPC ? MRING_WOULD_BLOCK : ERROR_INVALID_HANDLE;
}

static int input_of_descriptor(int fd, void *bytes, size_t size, size_t *count)
{
    int moved = read_once(fd, bytes, size);

    if (moved < 0) {
        int err = error_of_descriptor();
        return err == ERROR_NO_DATA ? MRING_WOULD_BLOCK : err; /* a pipe that does not block */
    }
    *count = (size_t)moved;
    return 0;
}

static int output_of_descriptor(int fd, const void *bytes, size_t size, size_t *count)
{
    int moved = write_once(fd, bytes, size);

    if (moved < 0)
        return error_of_descriptor();
    *count = (size_t)moved;
    return 0;
}

/* ---- sockets --------------------------------------------------------------------------------- */

static int error_of_socket(void)
{
    int code = WSAGetLastError();

    return code == WSAEWOULDBLOCK ? MRING_WOULD_BLOCK : code;
}

static SOCKET socket_of(const struct io *io)
{
    return (SOCKET)(intptr_t)io->fd;
}

static int input_of_socket(const struct io *io, void *bytes, size_t size, size_t *count)
{
    int moved = recv(socket_of(io), bytes, (int)size, io->flags);

    if (moved < 0 && WSAGetLastError() != WSAEMSGSIZE)
        return error_of_socket();

    /* A datagram that is longer is cut, as on other systems; only here that is an error. */
    *count = moved < 0 ? size : (size_t)moved;
    return 0;
}

static int output_of_socket(const struct io *io, const void *bytes, size_t size, size_t *count)
{
    int moved = send(socket_of(io), bytes, (int)size, io->flags);

    if (moved < 0)
        return error_of_socket();
    *count = (size_t)moved;
    return 0;
}

/* ---- both ------------------------------------------------------------------------------------ */

int mring_io_input(const struct io *io, void *bytes, size_t size, size_t *count)
{
    size_t most = size < MOST ? size : MOST;

    if (io->flags & MSG_TRUNC)
        return MMAP_INVALID_ARG; /* as on other systems, which would take it */
    return io->socket ? input_of_socket(io, bytes, most, count)
                      : input_of_descriptor(io->fd, bytes, most, count);
}

int mring_io_output(const struct io *io, const void *bytes, size_t size, size_t *count)
{
    size_t most = size < MOST ? size : MOST;

    return io->socket ? output_of_socket(io, bytes, most, count)
                      : output_of_descriptor(io->fd, bytes, most, count);
}

/* ---- what poll loops wait for ---------------------------------------------------------------- */

/* What the system knows of an event; nothing but this call tells how one is reset. */
struct event_information {
    LONG type; /* 0: by ResetEvent() alone */
    LONG state;
};

#define STATUS_IS_NO_EVENT  ((LONG)0xc0000024)
#define STATUS_IS_NO_HANDLE ((LONG)0xc0000008)

typedef LONG(WINAPI *query_event)(HANDLE event, int what, void *result, ULONG size, ULONG *written);

static query_event find_query(void)
{
    HMODULE library = GetModuleHandleW(L"ntdll.dll");

    return library == NULL ? NULL
                           : (query_event)(void (*)(void))GetProcAddress(library, "NtQueryEvent");
}

/*
 * An event that resets itself would be taken away from the poll loop by whoever looks first, and
 * one that may not be set would let it sleep.
 */
int mring_io_check_signal(int fd)
{
    HANDLE event = (HANDLE)(intptr_t)fd;
    struct event_information information = { 0 };
    query_event query = find_query();

    if (query == NULL)
        return ERROR_PROC_NOT_FOUND;
    LONG status = query(event, 0, &information, sizeof information, NULL);
    if (status == STATUS_IS_NO_HANDLE)
        return ERROR_INVALID_HANDLE;
    if (status == STATUS_IS_NO_EVENT)
        return MMAP_INVALID_ARG;
    if (status != 0 || !(mring_granted_access(event) & EVENT_MODIFY_STATE))
        return ERROR_ACCESS_DENIED;
    return information.type == 0 ? 0 : MMAP_INVALID_ARG;
}
