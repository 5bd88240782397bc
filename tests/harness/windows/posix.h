/* SPDX-License-Identifier: MIT */
/*
 * What the tests use of POSIX and Linux, on Windows. The headers of this folder are found in place
 * of those that are missing there, and before those that lack something, so that the tests compile
 * unchanged.
 *
 * Where Windows has an equivalent, it is used. Elsewhere the call ends the test, which counts as
 * skipped, and prints that it does not exist. Descriptors are those of the C runtime; the sockets
 * and eventfds that are made here are known, so that read(), write(), close() and poll() take them,
 * too. An eventfd is an event of Windows, as rings want it: it does not count, and says 1.
 */
#ifndef MRING_HARNESS_POSIX_H
#define MRING_HARNESS_POSIX_H

/* What is missing has parameters that nobody looks at. */
#pragma GCC system_header

#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* End this test or program as skipped. A runner of tests has one of its own. */
_Noreturn void windows_lacks(const char *what);

static inline int lacks_(const char *what)
{
    windows_lacks(what);
}

#define LACKS_(result, call, ...)                                                                  \
    static inline result call(__VA_ARGS__)                                                         \
    {                                                                                              \
        windows_lacks(#call "()");                                                                 \
    }

/* ---- descriptors ----------------------------------------------------------------------------- */

int windows_open(const char *path, int flags, ...);
ssize_t windows_read(int fd, void *bytes, size_t size);
ssize_t windows_write(int fd, const void *bytes, size_t size);
int windows_close(int fd);
int windows_pipe(int fds[2]);
int pipe2(int fds[2], int flags);
int windows_ioctl(int fd, int what, int *count);
char *mkdtemp(char *path);
int windows_truncate(const char *path, int64_t size);

#define open(...)              windows_open(__VA_ARGS__)
#define read(fd, bytes, size)  windows_read(fd, bytes, size)
#define write(fd, bytes, size) windows_write(fd, bytes, size)
#define close(fd)              windows_close(fd)
#define pipe(fds)              windows_pipe(fds)
#define truncate(path, size)   windows_truncate(path, size)
#define lstat(path, status)    stat(path, status)
#define mkdir(path, mode)      _mkdir(path)
#define fsync(fd)              _commit(fd)
#define ioctl(fd, what, count) windows_ioctl(fd, what, count)
#define environ                _environ
#define st_blocks              st_size *(unsigned)lacks_("st_blocks")

/* Ends the test where it is asked for. */
#define WINDOWS_LACKS_FLAG_ 0x10000000
#define O_CLOEXEC           _O_NOINHERIT
#define O_NONBLOCK          0x20000000
#define O_DIRECTORY         WINDOWS_LACKS_FLAG_
#define O_NOFOLLOW          WINDOWS_LACKS_FLAG_
#define O_PATH              WINDOWS_LACKS_FLAG_
#define O_TMPFILE           WINDOWS_LACKS_FLAG_
#define O_SYNC              WINDOWS_LACKS_FLAG_

#define F_DUPFD             0
#define F_DUPFD_CLOEXEC     1030
#define F_GETFD             1
#define F_SETFD             2
#define F_GETFL             3
#define F_SETFL             4
#define F_SETPIPE_SZ        1031
#define F_GETPIPE_SZ        1032
#define F_ADD_SEALS         1033
#define F_GET_SEALS         1034
#define F_SEAL_SEAL         1
#define F_SEAL_SHRINK       2
#define F_SEAL_GROW         4
#define F_SEAL_WRITE        8
#define F_SEAL_FUTURE_WRITE 16
#define FD_CLOEXEC          1
#define MFD_CLOEXEC         1
#define MFD_ALLOW_SEALING   2
#define MFD_HUGETLB         4
#define LOCK_EX             2
#define F_SETLEASE          1024
#define F_WRLCK             1
#define F_UNLCK             2
#define S_IFSOCK            0140000
#define AT_FDCWD            (-100)

int windows_fcntl(int fd, int what, ...);
#define fcntl(...) windows_fcntl(__VA_ARGS__)

LACKS_(int, flock, int fd, int what)
LACKS_(int, memfd_create, const char *name, unsigned flags)
LACKS_(int, fallocate, int fd, int mode, int64_t offset, int64_t size)
LACKS_(int, posix_fallocate, int fd, int64_t offset, int64_t size)
LACKS_(ssize_t, pread, int fd, void *bytes, size_t size, int64_t offset)
LACKS_(ssize_t, pwrite, int fd, const void *bytes, size_t size, int64_t offset)
LACKS_(int, mkfifo, const char *path, unsigned mode)
LACKS_(int, symlink, const char *from, const char *to)
LACKS_(int, link, const char *from, const char *to)
LACKS_(int, mknod, const char *path, unsigned mode, unsigned device)
LACKS_(FILE *, fmemopen, void *bytes, size_t size, const char *mode)
LACKS_(int, fchmod, int fd, unsigned mode)
#define WINDOWS_FIONREAD_    1
#define FIONREAD             WINDOWS_FIONREAD_
#define FALLOC_FL_PUNCH_HOLE 2
#define FALLOC_FL_KEEP_SIZE  1

/* ---- what is waited for ---------------------------------------------------------------------- */

#define EFD_NONBLOCK  1
#define EFD_CLOEXEC   2
#define EFD_SEMAPHORE WINDOWS_LACKS_FLAG_
typedef uint64_t eventfd_t;

int eventfd(unsigned count, int flags);
int eventfd_write(int fd, eventfd_t count);

#define POLLIN  1
#define POLLOUT 4
#define POLLERR 8
#define POLLHUP 16
struct pollfd {
    int fd;
    short events, revents;
};
typedef unsigned long nfds_t;

/* Of one eventfd. */
int poll(struct pollfd *fds, nfds_t count, int timeout_ms);

#define EPOLLIN       1u
#define EPOLLOUT      4u
#define EPOLLERR      8u
#define EPOLLHUP      16u
#define EPOLLET       0x80000000u
#define EPOLLONESHOT  0x40000000u
#define EPOLL_CLOEXEC 0
#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3
struct epoll_event {
    uint32_t events;
    union {
        void *ptr;
        int fd;
        uint32_t u32;
        uint64_t u64;
    } data;
};
LACKS_(int, epoll_create1, int flags)
LACKS_(int, epoll_ctl, int poll, int what, int fd, struct epoll_event *event)
LACKS_(int, epoll_wait, int poll, struct epoll_event *events, int most, int timeout_ms)

#define TFD_NONBLOCK 1
#define TFD_CLOEXEC  2
struct itimerspec;
LACKS_(int, timerfd_create, int clock, int flags)
LACKS_(int, timerfd_settime, int fd, int flags, const struct itimerspec *time,
       struct itimerspec *old)

/* ---- memory ---------------------------------------------------------------------------------- */

#define PROT_NONE           0
#define PROT_READ           1
#define PROT_WRITE          2
#define PROT_EXEC           4
#define MAP_SHARED          1
#define MAP_PRIVATE         2
#define MAP_FIXED           16
#define MAP_ANONYMOUS       32
#define MAP_HUGETLB         64
#define MAP_NORESERVE       0x4000
#define MAP_FIXED_NOREPLACE 0x100000
#define MAP_FAILED          ((void *)-1)
#define MADV_DONTNEED       4
#define MS_SYNC             4

/* Of anonymous memory; there are no children to share it with. */
void *mmap(void *addr, size_t size, int access, int flags, int fd, int64_t offset);
int munmap(void *addr, size_t size);
long sysconf(int what);
#define _SC_PAGESIZE         30
#define _SC_NPROCESSORS_ONLN 84

LACKS_(int, mprotect, void *addr, size_t size, int access)
LACKS_(int, madvise, void *addr, size_t size, int advice)
LACKS_(int, mincore, void *addr, size_t size, unsigned char *pages)
LACKS_(int, mlock, const void *addr, size_t size)
LACKS_(int, munlock, const void *addr, size_t size)
LACKS_(int, msync, void *addr, size_t size, int flags)
LACKS_(int, shm_open, const char *name, int flags, unsigned mode)
LACKS_(int, shm_unlink, const char *name)

/* ---- processes and their rights -------------------------------------------------------------- */

typedef unsigned uid_t, gid_t;
typedef uint64_t rlim_t;
struct rlimit {
    rlim_t rlim_cur, rlim_max;
};
#define RLIM_INFINITY  UINT64_MAX
#define RLIMIT_AS      9
#define RLIMIT_FSIZE   1
#define RLIMIT_MEMLOCK 8
#define RLIMIT_NOFILE  7
LACKS_(int, getrlimit, int what, struct rlimit *limit)
LACKS_(int, setrlimit, int what, const struct rlimit *limit)

struct rusage {
    struct timeval ru_utime, ru_stime;
    long ru_minflt, ru_majflt, ru_nvcsw, ru_nivcsw;
};
#define RUSAGE_SELF   0
#define RUSAGE_THREAD 1
LACKS_(int, getrusage, int who, struct rusage *usage)

#define WNOHANG             1
#define WEXITED             4
#define WIFEXITED(status)   ((status) == 0)
#define WEXITSTATUS(status) (status)
#define WIFSIGNALED(status) ((status) != 0)
#define WTERMSIG(status)    (status)
LACKS_(pid_t, fork, void)
LACKS_(pid_t, waitpid, pid_t process, int *status, int flags)
LACKS_(pid_t, wait, int *status)
LACKS_(int, kill, pid_t process, int signal)
LACKS_(uid_t, geteuid, void)
LACKS_(uid_t, getuid, void)
LACKS_(gid_t, getegid, void)
LACKS_(int, pause, void)
LACKS_(int, mount, const char *source, const char *target, const char *type, unsigned long flags,
       const void *data)
LACKS_(int, unshare, int flags)
#define CLONE_NEWNS   0x20000
#define CLONE_NEWUSER 0x10000000

/* ---- signals --------------------------------------------------------------------------------- */

/* An alarm comes in a thread of its own. It is the only signal that is sent to a whole process. */
typedef void windows_handler(int number);
windows_handler *windows_signal(int number, windows_handler *handler);
#define signal(number, handler) windows_signal(number, handler)
unsigned windows_alarm(unsigned seconds);
#define alarm(seconds) windows_alarm(seconds)

#define SIGHUP      1
#define SIGKILL     9
#define SIGUSR1     10
#define SIGPIPE     13
#define SIGALRM     14
#define SIGCHLD     17
#define SIGSTOP     19
#define SIGIO       29
#define SIGCONT     18
#define SIGBUS      7
#define SIGXFSZ     25
#define SIGSYS      31
#define SIGUSR2     12
#define SA_RESTART  1
#define SA_SIGINFO  2
#define SIG_BLOCK   0
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2
typedef unsigned long windows_sigset;
#define sigset_t windows_sigset
typedef struct {
    int si_signo, si_code;
    void *si_addr, *si_call_addr;
    int si_syscall;
} siginfo_t;
struct sigaction {
    void (*sa_handler)(int number);
    void (*sa_sigaction)(int number, siginfo_t *info, void *context);
    int sa_flags;
    sigset_t sa_mask;
};
LACKS_(int, sigaction, int number, const struct sigaction *action, struct sigaction *old)
LACKS_(int, sigemptyset, sigset_t *set)
LACKS_(int, sigaddset, sigset_t *set, int number)
LACKS_(int, sigprocmask, int how, const sigset_t *set, sigset_t *old)
LACKS_(int, sigwait, const sigset_t *set, int *number)

/* ---- the kernel itself ----------------------------------------------------------------------- */

#define SYS_gettid         1
#define SYS_membarrier     2
#define SYS_io_uring_setup 3
#define SYS_seccomp        4
#define SYS_tgkill         5
#define SYS_exit           6
#define SYS_rt_sigreturn   7
long syscall(long number, ...);

#define PR_SET_PDEATHSIG    1
#define PR_SET_NO_NEW_PRIVS 38
#define PR_SET_SECCOMP      22
#define PR_SET_DUMPABLE     4
LACKS_(int, prctl, int what, ...)

enum {
    MEMBARRIER_CMD_QUERY,
    MEMBARRIER_CMD_GLOBAL,
    MEMBARRIER_CMD_GLOBAL_EXPEDITED,
    MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
};

#endif
