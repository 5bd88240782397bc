/* SPDX-License-Identifier: MIT */
#include "posix.h"

#include "sockets.h"
#include "sys/eventfd.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <windows.h>

#undef open
#undef read
#undef write
#undef close
#undef signal

/* ---- eventfds -------------------------------------------------------------------------------- */

/* Those that are open, by their numbers. */
enum { HANDLES = 1 << 16, DESCRIPTORS = 64 };
static bool is_eventfd[HANDLES];

static bool is_event(int fd)
{
    return fd >= 0 && fd < HANDLES && is_eventfd[fd];
}

static HANDLE handle_of(int fd)
{
    return (HANDLE)(intptr_t)fd;
}

/* The smallest numbers are left alone, since descriptors of the C runtime have them, too. */
int eventfd(unsigned count, int flags)
{
    HANDLE event;

    if (flags & EFD_SEMAPHORE)
        windows_lacks("EFD_SEMAPHORE");
    do {
        event = CreateEventW(NULL, TRUE, count > 0, NULL);
    } while (event != NULL && (intptr_t)event < DESCRIPTORS);
    if (event == NULL || (intptr_t)event >= HANDLES)
        return -1;
    is_eventfd[(intptr_t)event] = true;
    return (int)(intptr_t)event;
}

int eventfd_write(int fd, eventfd_t count)
{
    if (count > 1)
        windows_lacks("an eventfd that counts");
    return count == 0 || SetEvent(handle_of(fd)) ? 0 : -1;
}

static ssize_t read_event(int fd, void *bytes, size_t size)
{
    uint64_t count = 1;

    if (size != sizeof count || WaitForSingleObject(handle_of(fd), 0) != WAIT_OBJECT_0) {
        errno = EAGAIN;
        return -1;
    }
    ResetEvent(handle_of(fd));
    memcpy(bytes, &count, sizeof count);
    return sizeof count;
}

static ssize_t write_event(int fd, const void *bytes, size_t size)
{
    uint64_t count;

    if (size != sizeof count) {
        errno = EINVAL;
        return -1;
    }
    memcpy(&count, bytes, sizeof count);
    return eventfd_write(fd, count) == 0 ? (ssize_t)size : -1;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (count != 1 || !is_event(fds->fd) || (fds->events & ~POLLIN) != 0)
        windows_lacks("poll() of several descriptors, or of others than eventfds");
    fds->revents =
        WaitForSingleObject(handle_of(fds->fd), (DWORD)timeout_ms) == WAIT_OBJECT_0 ? POLLIN : 0;
    return fds->revents != 0;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

int windows_open(const char *path, int flags, ...)
{
    int mode = 0;

    if (flags & (WINDOWS_LACKS_FLAG_ | O_NONBLOCK))
        windows_lacks("such a flag of open()");
    if (path[0] == '/')
        windows_lacks(path);
    if (flags & O_CREAT) {
        va_list values;

        va_start(values, flags);
        mode = va_arg(values, int) & 0200 ? _S_IREAD | _S_IWRITE : _S_IREAD;
        va_end(values);
    }
    return _open(path, flags | _O_BINARY, mode);
}

ssize_t windows_read(int fd, void *bytes, size_t size)
{
    if (is_event(fd))
        return read_event(fd, bytes, size);
    return windows_is_socket(fd) ? windows_recv(fd, bytes, size, 0)
                                 : _read(fd, bytes, (unsigned)size);
}

ssize_t windows_write(int fd, const void *bytes, size_t size)
{
    if (is_event(fd))
        return write_event(fd, bytes, size);
    return windows_is_socket(fd) ? windows_send(fd, bytes, size, 0)
                                 : _write(fd, bytes, (unsigned)size);
}

int windows_close(int fd)
{
    if (is_event(fd)) {
        is_eventfd[fd] = false;
        return CloseHandle(handle_of(fd)) ? 0 : -1;
    }
    if (!windows_is_socket(fd))
        return _close(fd);
    windows_close_socket(fd);
    return 0;
}

int windows_pipe(int fds[2])
{
    return _pipe(fds, 65536, _O_BINARY | _O_NOINHERIT);
}

/* For both ends; who writes more than there is room for writes nothing. */
int pipe2(int fds[2], int flags)
{
    DWORD mode = PIPE_NOWAIT;

    if (flags & ~(O_NONBLOCK | O_CLOEXEC))
        windows_lacks("such a flag of pipe2()");
    if (windows_pipe(fds) != 0)
        return -1;
    if (!(flags & O_NONBLOCK) ||
        (SetNamedPipeHandleState((HANDLE)_get_osfhandle(fds[0]), &mode, NULL, NULL) &&
         SetNamedPipeHandleState((HANDLE)_get_osfhandle(fds[1]), &mode, NULL, NULL)))
        return 0;
    windows_lacks("a pipe that does not block");
}

/* How much there is to read. */
int windows_ioctl(int fd, int what, int *count)
{
    DWORD there = 0;

    if (what != WINDOWS_FIONREAD_)
        windows_lacks("ioctl()");
    if (windows_is_socket(fd))
        return windows_pending(fd, count);
    if (!PeekNamedPipe((HANDLE)_get_osfhandle(fd), NULL, 0, NULL, &there, NULL))
        return -1;
    *count = (int)there;
    return 0;
}

/* Names that differ are found by trying. */
char *mkdtemp(char *path)
{
    char *end = path + strlen(path) - 6;

    for (unsigned try = 0; try < 1000; try++) {
        snprintf(end, 7, "%06lx", (GetTickCount() * 1000 + try + GetCurrentProcessId()) & 0xffffff);
        if (CreateDirectoryA(path, NULL))
            return path;
    }
    return NULL;
}

int windows_truncate(const char *path, int64_t size)
{
    int fd = _open(path, _O_RDWR | _O_BINARY);

    if (fd < 0)
        return -1;
    int failed = _chsize_s(fd, size) != 0 ? -1 : 0;
    _close(fd);
    return failed;
}

static bool is_inherited(int fd)
{
    DWORD flags = 0;

    GetHandleInformation((HANDLE)_get_osfhandle(fd), &flags);
    return (flags & HANDLE_FLAG_INHERIT) != 0;
}

int windows_fcntl(int fd, int what, ...)
{
    if (is_event(fd) || windows_is_socket(fd))
        windows_lacks("fcntl()");
    if (what == F_DUPFD || what == F_DUPFD_CLOEXEC)
        return _dup(fd);
    if (what == F_GETFD)
        return _get_osfhandle(fd) == -1 ? -1 : is_inherited(fd) ? 0 : FD_CLOEXEC;
    windows_lacks("fcntl()");
}

/* ---- memory, numbers ------------------------------------------------------------------------- */

void *mmap(void *addr, size_t size, int access, int flags, int fd, int64_t offset)
{
    void *result;

    if (fd >= 0 || offset != 0 || !(flags & MAP_ANONYMOUS) || (flags & MAP_FIXED))
        windows_lacks("mmap()");
    result = VirtualAlloc(addr, size, access == PROT_NONE ? MEM_RESERVE : MEM_RESERVE | MEM_COMMIT,
                          access == PROT_NONE   ? PAGE_NOACCESS
                          : access & PROT_WRITE ? PAGE_READWRITE
                                                : PAGE_READONLY);
    return result != NULL ? result : MAP_FAILED;
}

int munmap(void *addr, size_t size)
{
    (void)size;
    return VirtualFree(addr, 0, MEM_RELEASE) ? 0 : -1;
}

long sysconf(int what)
{
    SYSTEM_INFO info;

    GetSystemInfo(&info);
    /* What maps are made in. */
    return what == _SC_PAGESIZE ? (long)info.dwAllocationGranularity
                                : (long)info.dwNumberOfProcessors;
}

long syscall(long number, ...)
{
    if (number != SYS_gettid)
        windows_lacks("syscall()");
    return (long)GetCurrentThreadId();
}

/* ---- alarms ---------------------------------------------------------------------------------- */

static windows_handler *alarm_handler = SIG_DFL;

windows_handler *windows_signal(int number, windows_handler *handler)
{
    if (number == SIGSEGV || number == SIGABRT || number == SIGFPE)
        return signal(number, handler);
    if (number == SIGPIPE && handler == SIG_IGN)
        return SIG_DFL; /* there is none to ignore */
    if (number != SIGALRM)
        windows_lacks("such a signal");
    windows_handler *before = alarm_handler;
    alarm_handler = handler;
    return before;
}

static void CALLBACK ring_alarm(void *unused, BOOLEAN timed_out)
{
    (void)unused;
    (void)timed_out;
    if (alarm_handler == SIG_DFL)
        ExitProcess(128 + SIGALRM);
    if (alarm_handler != SIG_IGN)
        alarm_handler(SIGALRM);
}

/* In the place of the one before. What was left of that is not told. */
unsigned windows_alarm(unsigned seconds)
{
    static HANDLE timer;

    if (timer != NULL)
        DeleteTimerQueueTimer(NULL, timer, INVALID_HANDLE_VALUE);
    timer = NULL;
    if (seconds > 0 && !CreateTimerQueueTimer(&timer, NULL, ring_alarm, NULL, seconds * 1000, 0,
                                              WT_EXECUTEONLYONCE))
        abort();
    return 0;
}
