/* SPDX-License-Identifier: MIT */
/*
 * Of FreeBSD's headers, what the library uses, so that a compiler can check the branches for it
 * where there are none: types and prototypes as the manual pages have them, constants with values
 * that only have to differ. Every header of this folder is this one. Nothing is linked to it.
 */
#ifndef FREEBSD_SYSTEM_H
#define FREEBSD_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

typedef int64_t off_t, time_t, ssize_t, rlim_t;
typedef uint32_t mode_t, uid_t, dev_t;
typedef uint64_t ino_t, nlink_t;
typedef int clockid_t;
typedef struct file FILE;
typedef struct folder DIR;
typedef struct {
    int state;
} pthread_once_t;
typedef struct mutex *pthread_mutex_t;

struct timespec {
    time_t tv_sec;
    long tv_nsec;
};

struct stat {
    dev_t st_dev;
    ino_t st_ino;
    nlink_t st_nlink;
    mode_t st_mode;
    uid_t st_uid;
    off_t st_size;
};

struct dirent {
    char d_name[256];
};

struct rlimit {
    rlim_t rlim_cur, rlim_max;
};

struct flock {
    off_t l_start, l_len;
    int l_pid;
    short l_type, l_whence;
};

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned fflags;
    int64_t data;
    void *udata;
    uint64_t ext[4];
};

extern int *freebsd_errno(void);
#define errno (*freebsd_errno())
enum {
    EPERM = 1,
    ENOENT,
    EINTR,
    ENXIO = 6,
    EBADF = 9,
    EDEADLK = 11,
    ENOMEM = 12,
    EACCES,
    EBUSY = 16,
    EEXIST,
    ENODEV = 19,
    ENOTDIR,
    EISDIR,
    EINVAL,
    ENFILE,
    EMFILE,
    ENOTTY,
    EFBIG = 27,
    ENOSPC,
    EROFS = 30,
    EPIPE = 32,
    EAGAIN = 35,
    EOPNOTSUPP = 45,
    ELOOP = 62,
    ENAMETOOLONG,
    EDQUOT = 69,
    ENOSYS = 78,
    EOVERFLOW = 84
};

#define O_RDONLY        0
#define O_WRONLY        1
#define O_RDWR          2
#define O_ACCMODE       3
#define O_NONBLOCK      0x4
#define O_NOFOLLOW      0x100
#define O_CREAT         0x200
#define O_EXCL          0x800
#define O_NOCTTY        0x8000
#define O_CLOEXEC       0x100000
#define F_GETFD         1
#define F_DUPFD_CLOEXEC 17
#define F_GETFL         3
#define F_SETLKW        13
#define F_WRLCK         3
#define F_UNLCK         2
#define SEEK_SET        0
#define LOCK_EX         2
#define LOCK_NB         4
#define LOCK_UN         8
#define S_ISREG(mode)   (((mode)&0170000) == 0100000)
#define S_ISDIR(mode)   (((mode)&0170000) == 0040000)
#define PATH_MAX        1024
#define INT_MIN         (-2147483647 - 1)
#define _SC_PAGESIZE    47
#define RLIMIT_FSIZE    1
#define RLIM_INFINITY   INT64_MAX
#define PROT_NONE       0
#define PROT_READ       1
#define PROT_WRITE      2
#define PROT_EXEC       4
#define MAP_SHARED      1
#define MAP_PRIVATE     2
#define MAP_FIXED       0x10
#define MAP_ANON        0x1000
#define MAP_ANONYMOUS   MAP_ANON
#define MAP_EXCL        0x4000
#define MAP_FAILED      ((void *)-1)
#define MS_SYNC         0
#define MS_ASYNC        1
#define MADV_NOCORE     8
#define INHERIT_NONE    2
#define SHM_ANON        ((char *)1)
#define SHMLBA          4096
#define MSG_TRUNC       0x10
#define MSG_NOSIGNAL    0x20000
#define CLOCK_MONOTONIC 4
#define EVFILT_USER     (-11)
#define EV_ADD          1
#define EV_DELETE       2
#define EV_CLEAR        0x20
#define NOTE_TRIGGER    0x01000000
#define PTHREAD_ONCE_INIT                                                                          \
    {                                                                                              \
        0                                                                                          \
    }
#define PTHREAD_MUTEX_INITIALIZER ((pthread_mutex_t)0)
#define EWOULDBLOCK               EAGAIN
#define ENOTSUP                   EOPNOTSUPP
#define EV_SET(event, ident_, filter_, flags_, fflags_, data_, udata_)                             \
    do {                                                                                           \
        (event)->ident = (ident_);                                                                 \
        (event)->filter = (filter_);                                                               \
        (event)->flags = (flags_);                                                                 \
        (event)->fflags = (fflags_);                                                               \
        (event)->data = (data_);                                                                   \
        (event)->udata = (udata_);                                                                 \
    } while (0)
#define assert(condition) ((void)(condition))
#define static_assert _Static_assert

void arc4random_buf(void *, size_t);
int clock_gettime(clockid_t, struct timespec *);
int close(int);
int closedir(DIR *);
int fcntl(int, int, ...);
int fflush(FILE *);
int fileno(FILE *);
int flock(int, int);
int fstat(int, struct stat *);
int fsync(int);
int ftruncate(int, off_t);
uid_t geteuid(void);
int getrlimit(int, struct rlimit *);
int kevent(int, const struct kevent *, int, struct kevent *, int, const struct timespec *);
int link(const char *, const char *);
int lstat(const char *, struct stat *);
int madvise(void *, size_t, int);
void *memcpy(void *, const void *, size_t);
int memcmp(const void *, const void *, size_t);
void *memset(void *, int, size_t);
int minherit(void *, size_t, int);
int mkdir(const char *, mode_t);
int mlock(const void *, size_t);
void *mmap(void *, size_t, int, int, int, off_t);
int msync(void *, size_t, int);
int munmap(void *, size_t);
int nanosleep(const struct timespec *, struct timespec *);
int open(const char *, int, ...);
DIR *opendir(const char *);
int posix_fallocate(int, off_t, off_t);
ssize_t pread(int, void *, size_t, off_t);
int pthread_atfork(void (*)(void), void (*)(void), void (*)(void));
int pthread_mutex_lock(pthread_mutex_t *);
int pthread_mutex_unlock(pthread_mutex_t *);
int pthread_once(pthread_once_t *, void (*)(void));
ssize_t pwrite(int, const void *, size_t, off_t);
ssize_t read(int, void *, size_t);
struct dirent *readdir(DIR *);
ssize_t recv(int, void *, size_t, int);
ssize_t send(int, const void *, size_t, int);
int shm_open(const char *, int, mode_t);
int shm_unlink(const char *);
int snprintf(char *, size_t, const char *, ...);
int stat(const char *, struct stat *);
char *strcat(char *, const char *);
int strcmp(const char *, const char *);
char *strcpy(char *, const char *);
char *strerror(int);
size_t strlen(const char *);
char *strpbrk(const char *, const char *);
char *strrchr(const char *, int);
long sysconf(int);
int unlink(const char *);
ssize_t write(int, const void *, size_t);

#endif
