/* SPDX-License-Identifier: MIT */
/*
 * Names of shared memory where shm_open() has none of what mmap_os.h asks for: macOS and the BSDs.
 * There a name has 30 bytes at the most, an object can be sized once only and is rounded to pages,
 * it has no link(), so it is visible before it is complete, and its maker's death leaves it so.
 *
 * So the objects get random names that nobody looks for, and a tagname is an entry: a small file in
 * a folder that is the user's own. It says which object, how many bytes exactly, and for which
 * tagname, since the file's name is but a hash of it.
 *
 *      n<hash of tagname>   entry     { size, mode, key, tagname }      object "/mr<key>"
 *      t<key>               draft     an entry to be; its maker holds a lock on it
 *      lock                 lock      of those who remove entries
 *
 * Why it holds, whoever is killed and whenever:
 *
 *   complete   A draft is written after the object was sized and filled, and link() gives it the
 *              entry's name in one step, or fails since there is one. So whoever finds an entry
 *              finds all of it, and of two makers one wins. A file that is no entry is what a
 *              crash of the machine has left of one, and goes as one whose object is gone.
 *   garbage    The draft is there before its object, and goes after it. The kernel frees the lock
 *              of a maker that dies. So a draft that can be locked, and is a draft still, has no
 *              maker any more, and with a single link it was not published: it and its object are
 *              removed. Every maker does that before it starts. A maker whose draft is swept
 *              between its creation and its lock finds the lock taken or no link left, and starts
 *              anew.
 *   removal    Entries are removed under the lock alone, and made only where there is none. So what
 *              a remover reads under the lock is what it removes. The object goes first: a remover
 *              that dies in between leaves an entry without an object, as a restart of the machine
 *              does, and who finds such an entry removes it.
 *
 * The removers' lock is held for a few system calls and never while a caller's code runs. It is a
 * record lock, which a forked child does not inherit, so that it goes with the remover. Draft's are
 * locks of flock(), which it does: garbage is then kept for as long as the child lives, or until it
 * runs another program, and nobody waits for it.
 */
#define _GNU_SOURCE       /* flock; systems without this macro show it anyway */
#define _FILE_OFFSET_BITS 64

#include "mmap_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* "mringtag" and a number. Another layout needs another letter in front of the files' names, too: a
   file with this one that has another number is taken for garbage. */
#define ENTRY_MAGIC UINT64_C(0x016761746e69726d)

struct entry {
    uint64_t magic;
    uint64_t size; /* bytes of the object, as asked for */
    uint32_t mode;
    char key[OS_NAME_KEY_SIZE];
    char tagname[MMAP_TAGNAME_MAX + 1];
};

/* How often a draft may be swept, or a file be removed, before that is no coincidence. */
#define ATTEMPTS 64

/* Not an error that a caller sees: a file of ours that is no entry. */
#define NO_ENTRY INT_MIN

/* More has no place in any address space. Systems without blocks of shared memory would find out
   when it is mapped, or worse, when they try to find the pages. */
#define OBJECT_SIZE_MAX (SIZE_MAX > UINT32_MAX ? (uint64_t)1 << 47 : (uint64_t)SIZE_MAX)

/* Room for the folder's path, and for that of any file in it. */
struct folder {
    char text[512];
};

struct path {
    char text[sizeof(struct folder) + sizeof "/n" + OS_NAME_KEY_SIZE];
};

/* ---- texts ----------------------------------------------------------------------------------- */

/* 130 bits as letters and digits that file systems without upper and lower case tell apart. */
static void spell(char key[OS_NAME_KEY_SIZE], const uint64_t bits[2])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint64_t low = bits[0], high = bits[1];

    for (size_t i = 0; i < OS_NAME_KEY_SIZE - 1; i++) {
        key[i] = digits[low % 32];
        low = low >> 5 | high << 59;
        high >>= 5;
    }
    key[OS_NAME_KEY_SIZE - 1] = '\0';
}

/* FNV-1a and the finish of splitmix64. Good enough: nobody else can make entries in the folder. */
static uint64_t hash(const char *text, uint64_t state)
{
    for (; *text != '\0'; text++)
        state = (state ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    state = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    state = (state ^ state >> 27) * UINT64_C(0x94d049bb133111eb);
    return state ^ state >> 31;
}

static void object_name(char name[sizeof "/mr" + OS_NAME_KEY_SIZE], const char *key)
{
    strcat(strcpy(name, "/mr"), key);
}

/* ---- the folder ------------------------------------------------------------------------------ */

#if defined(__APPLE__)
/* The system's folder for this user. Not that of temporary files, which it removes after days. */
static bool find_folder(char *text, size_t size)
{
    size_t length = confstr(_CS_DARWIN_USER_DIR, text, size);

    if (length == 0 || length + sizeof "mring" > size)
        return false;
    strcat(text, "mring");
    return true;
}
#else
/* The same whatever the environment of a process says. A test has one of its own. */
#ifndef PARENT_FOLDER
#define PARENT_FOLDER "/tmp"
#endif

static bool find_folder(char *text, size_t size)
{
    int length = snprintf(text, size, "%s/mring-%lu", PARENT_FOLDER, (unsigned long)geteuid());

    return length >= 0 && (size_t)length < size;
}
#endif

/* The folder, which could have been put there by anybody. not_found: there are no names yet. */
static int use_folder(struct folder *folder)
{
    struct stat status;

    if (!find_folder(folder->text, sizeof folder->text))
        return MMAP_UNSUPPORTED;
    if (lstat(folder->text, &status) != 0)
        return mmap_posix_error_of(errno);
    return S_ISDIR(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 077) == 0
               ? 0
               : MMAP_ACCESS_DENIED;
}

static int make_folder(struct folder *folder)
{
    if (!find_folder(folder->text, sizeof folder->text))
        return MMAP_UNSUPPORTED;
    if (mkdir(folder->text, 0700) != 0 && errno != EEXIST)
        return errno == ENOENT ? MMAP_UNSUPPORTED : mmap_posix_error_of(errno);
    return use_folder(folder);
}

/* The path of a file in the folder. */
static void path_in(struct path *path, const struct folder *folder, char kind, const char *rest)
{
    snprintf(path->text, sizeof path->text, "%s/%c%s", folder->text, kind, rest);
}

static void entry_path(struct path *path, const struct folder *folder, const char *tagname)
{
    char key[OS_NAME_KEY_SIZE];
    uint64_t bits[2] = { hash(tagname, UINT64_C(0xcbf29ce484222325)), hash(tagname, 0x9e3779b9) };

    spell(key, bits);
    path_in(path, folder, 'n', key);
}

/* ---- locks ----------------------------------------------------------------------------------- */

static bool lock_patiently(int fd, int operation)
{
    int result;

    do {
        result = flock(fd, operation);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

/*
 * Record locks are the process's, and go when it closes any descriptor of the file: so there is one
 * descriptor at a time. While it is open no fork begins, so that no child has the mutex locked.
 */
static pthread_mutex_t removers = PTHREAD_MUTEX_INITIALIZER;
static int watching_forks;

static void lock_mutex(void)
{
    pthread_mutex_lock(&removers);
}

static void unlock_mutex(void)
{
    pthread_mutex_unlock(&removers);
}

static void watch_forks(void)
{
    watching_forks = pthread_atfork(lock_mutex, unlock_mutex, unlock_mutex);
}

static bool lock_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_forks);
    if (watching_forks != 0) {
        errno = watching_forks;
        return false;
    }
    lock_mutex();
    return true;
}

/*
 * EDEADLK: another thread of who has the lock waits for one that we have elsewhere. The lock does
 * not depend on that, so it will be free.
 */
static bool lock_record(int fd)
{
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct timespec nap = { .tv_nsec = 1000000 };
    int result;

    while ((result = fcntl(fd, F_SETLKW, &all)) != 0 && (errno == EINTR || errno == EDEADLK)) {
        if (errno == EDEADLK)
            nanosleep(&nap, NULL);
    }
    return result == 0;
}

static bool is_still_at(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

/* Under the mutex. Whoever cleans up the folder may remove the file while we wait for the lock. */
static int lock_file(const char *path)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        int fd = mmap_posix_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
            return -1;
        bool locked = lock_record(fd);
        int code = errno;
        if (locked && is_still_at(fd, path))
            return fd;
        close(fd);
        errno = code;
        if (!locked)
            return -1;
    }
    errno = EBUSY;
    return -1;
}

/* Returns the descriptor that holds the lock of removers, or -1 and errno. */
static int lock_removers(const struct folder *folder)
{
    struct path path;

    path_in(&path, folder, 'l', "ock");
    if (!lock_process())
        return -1;
    int fd = lock_file(path.text);
    if (fd < 0)
        unlock_mutex();
    return fd;
}

static void unlock_removers(int fd)
{
    close(fd);
    unlock_mutex();
}

/* ---- entries --------------------------------------------------------------------------------- */

static bool is_entry(const struct entry *entry)
{
    return entry->magic == ENTRY_MAGIC && entry->key[sizeof entry->key - 1] == '\0' &&
           entry->tagname[sizeof entry->tagname - 1] == '\0';
}

/* What cannot be read now may be an entry all the same. */
static int read_from(int fd, struct entry *entry)
{
    ssize_t got = pread(fd, entry, sizeof *entry, 0);

    if (got < 0)
        return mmap_posix_error_of(errno);
    return got == (ssize_t)sizeof *entry && is_entry(entry) ? 0 : NO_ENTRY;
}

/* errors  NO_ENTRY */
static int read_entry(const char *path, struct entry *entry)
{
    struct stat status;
    int err = 0;
    int fd = mmap_posix_open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);

    if (fd < 0)
        return mmap_posix_error_of(errno);
    if (fstat(fd, &status) != 0)
        err = mmap_posix_error_of(errno);
    else if (!S_ISREG(status.st_mode) || status.st_uid != geteuid())
        err = MMAP_ACCESS_DENIED;
    else if (status.st_size != (off_t)sizeof *entry)
        err = NO_ENTRY;
    else
        err = read_from(fd, entry);
    close(fd);
    return err;
}

/* Remove an entry, under the lock, and its object: the object first. */
static int remove_both(const char *path, const char *key)
{
    char name[sizeof "/mr" + OS_NAME_KEY_SIZE];

    object_name(name, key);
    if (shm_unlink(name) != 0 && errno != ENOENT)
        return mmap_posix_error_of(errno);
    return unlink(path) == 0 ? 0 : mmap_posix_error_of(errno);
}

/*
 * Remove the entry of a tagname, and its object; or what is left of an entry.
 *   key  NULL, or that of the only object that is meant
 */
static int remove_entry(const struct folder *folder, const char *tagname, const char *key)
{
    struct path path;
    struct entry entry;
    int lock = lock_removers(folder);

    if (lock < 0)
        return mmap_posix_error_of(errno);
    entry_path(&path, folder, tagname);
    int err = read_entry(path.text, &entry);
    if (err == NO_ENTRY)
        err = unlink(path.text) == 0 ? 0 : mmap_posix_error_of(errno);
    else if (err == 0 && strcmp(entry.tagname, tagname) == 0 &&
             (key == NULL || strcmp(entry.key, key) == 0))
        err = remove_both(path.text, entry.key);
    unlock_removers(lock);
    return err;
}

/* ---- drafts ---------------------------------------------------------------------------------- */

/* Before its draft, whose lock we hold. */
static void remove_object(const char *key)
{
    char name[sizeof "/mr" + OS_NAME_KEY_SIZE];

    object_name(name, key);
    shm_unlink(name);
}

/*
 * A draft with two links was published, and its maker died before it removed the first; one that
 * is not at its path any more was published by now, and is the entry.
 */
static void sweep_draft(const struct folder *folder, const char *key)
{
    struct path path;
    struct stat ours, there;

    path_in(&path, folder, 't', key);
    int fd = mmap_posix_open(path.text, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (lock_patiently(fd, LOCK_EX | LOCK_NB) && fstat(fd, &ours) == 0 &&
        lstat(path.text, &there) == 0 && ours.st_ino == there.st_ino) {
        if (there.st_nlink == 1)
            remove_object(key);
        unlink(path.text);
    }
    close(fd);
}

static void sweep(const struct folder *folder)
{
    DIR *directory = opendir(folder->text);
    struct dirent *file;

    if (directory == NULL)
        return;
    while ((file = readdir(directory)) != NULL) {
        if (file->d_name[0] == 't' && strlen(file->d_name) == OS_NAME_KEY_SIZE)
            sweep_draft(folder, file->d_name + 1);
    }
    closedir(directory);
}

#if defined(__linux__)
static bool draw(uint64_t bits[2])
{
    return getentropy(bits, 2 * sizeof *bits) == 0;
}
#else
static bool draw(uint64_t bits[2])
{
    arc4random_buf(bits, 2 * sizeof *bits);
    return true;
}
#endif

bool mmap_names_draw_key(char key[OS_NAME_KEY_SIZE])
{
    uint64_t bits[2];

    if (!draw(bits))
        return false;
    spell(key, bits);
    return true;
}

/* Lock a new draft. False: it can't be locked; or a sweeper was faster, which is EWOULDBLOCK. */
static bool hold_draft(int fd)
{
    struct stat status;

    if (!lock_patiently(fd, LOCK_EX | LOCK_NB) || fstat(fd, &status) != 0)
        return false;
    errno = EWOULDBLOCK;
    return status.st_nlink == 1;
}

/* Returns the descriptor of a new draft that holds its lock, or -1 and errno. */
static int start_draft(const struct folder *folder, char key[OS_NAME_KEY_SIZE])
{
    struct path path;

    for (int i = 0; i < ATTEMPTS; i++) {
        if (!mmap_names_draw_key(key))
            return -1;
        path_in(&path, folder, 't', key);
        int fd = mmap_posix_open(path.text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            return -1;
        if (fd < 0)
            continue;
        if (hold_draft(fd))
            return fd;
        int code = errno;
        if (code != EWOULDBLOCK)
            unlink(path.text);
        close(fd);
        errno = code;
        if (code != EWOULDBLOCK)
            return -1;
    }
    errno = EBUSY;
    return -1;
}

/* The owner's bits are all that matters: nobody else finds the object. */
static mode_t mode_of(unsigned mode)
{
    return mode == 0 ? 0600 : (mode_t)mode;
}

int mmap_names_create(struct os_object *object, unsigned mode)
{
    struct folder folder;
    struct path path;
    struct os_name name = { .mode = mode_of(mode) };
    char shm[sizeof "/mr" + OS_NAME_KEY_SIZE];
    int err = make_folder(&folder);

    if (err != 0)
        return err;
    sweep(&folder);
    name.draft = start_draft(&folder, name.key);
    if (name.draft < 0)
        return mmap_posix_error_of(errno);
    object_name(shm, name.key);
    int fd = shm_open(shm, O_RDWR | O_CREAT | O_EXCL, name.mode & 0700);
    if (fd < 0) {
        err = errno == ENOSYS ? MMAP_UNSUPPORTED : mmap_posix_error_of(errno);
        path_in(&path, &folder, 't', name.key);
        unlink(path.text);
        close(name.draft);
        return err;
    }
    mmap_posix_own(object, fd);
    object->created = true;
    object->name = name;
    return 0;
}

/* So that a crash of the machine does not leave an entry without what it says. Some file systems do
   not know how. */
static int synchronize(int fd)
{
    int result;

    do {
        result = fsync(fd);
    } while (result != 0 && errno == EINTR);
    return result == 0 || errno == EINVAL || errno == EOPNOTSUPP ? 0 : mmap_posix_error_of(errno);
}

static int write_draft(const struct os_object *object, const char *tagname)
{
    struct entry entry = { .magic = ENTRY_MAGIC,
                           .size = object->name.size,
                           .mode = object->name.mode };
    ssize_t written;

    strcpy(entry.key, object->name.key);
    strcpy(entry.tagname, tagname);
    do {
        written = pwrite(object->name.draft, &entry, sizeof entry, 0);
    } while (written < 0 && errno == EINTR);
    if (written < 0)
        return mmap_posix_error_of(errno);
    return written == (ssize_t)sizeof entry ? synchronize(object->name.draft) : MMAP_DISK_FULL;
}

int mmap_os_publish(struct os_object *object, const struct mmap_file *file)
{
    struct folder folder;
    struct path draft, path;
    int err = use_folder(&folder);

    if (err == 0)
        err = write_draft(object, file->tagname);
    if (err != 0)
        return err;
    entry_path(&path, &folder, file->tagname);
    path_in(&draft, &folder, 't', object->name.key);
    if (link(draft.text, path.text) != 0)
        return mmap_posix_error_of(errno);
    unlink(draft.text);
    close(object->name.draft);
    object->name.draft = -1;
    return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Whether a found entry is for this tagname, and for us. */
static int check_entry(const struct entry *entry, const char *tagname, unsigned flags,
                       unsigned mode)
{
    if (strcmp(entry->tagname, tagname) != 0)
        return MMAP_EXISTS;
    if (!(flags & MMAP_ANY_OWNER) && (entry->mode & ~mode_of(mode)) != 0)
        return MMAP_ACCESS_DENIED;
    return 0;
}

/* The object of an entry, which may not be there any more, or be another user's since. */
static int open_object(struct os_object *object, const struct entry *entry, unsigned access)
{
    char name[sizeof "/mr" + OS_NAME_KEY_SIZE];
    struct stat status;

    object_name(name, entry->key);
    int fd = shm_open(name, access & MMAP_WRITE ? O_RDWR : O_RDONLY, 0);
    if (fd < 0)
        return mmap_posix_error_of(errno);
    if (fstat(fd, &status) != 0 || status.st_uid != geteuid() ||
        (uint64_t)status.st_size < entry->size) {
        close(fd);
        return MMAP_ACCESS_DENIED;
    }
    mmap_posix_own(object, fd);
    object->name = (struct os_name){ .size = entry->size, .draft = -1 };
    strcpy(object->name.key, entry->key);
    return 0;
}

/* If it can't be removed, somebody else is about to, or it will be in the way of a maker. */
static int remove_garbage(const struct folder *folder, const char *tagname, const char *key)
{
    int err = remove_entry(folder, tagname, key);

    return err != 0 ? err : MMAP_NOT_FOUND;
}

int mmap_names_open(struct os_object *object, const char *tagname, unsigned access, unsigned flags,
                    unsigned mode)
{
    struct folder folder;
    struct path path;
    struct entry entry;
    int err = use_folder(&folder);

    if (err != 0)
        return err;
    entry_path(&path, &folder, tagname);
    err = read_entry(path.text, &entry);
    if (err == NO_ENTRY)
        return remove_garbage(&folder, tagname, ""); /* of no entry that was made meanwhile */
    if (err == 0)
        err = check_entry(&entry, tagname, flags, mode);
    if (err != 0)
        return err;
    err = open_object(object, &entry, access);
    return err == MMAP_NOT_FOUND ? remove_garbage(&folder, tagname, entry.key) : err;
}

int mmap_os_unlink(const char *tagname)
{
    struct folder folder;
    int err = use_folder(&folder);

    if (err == 0)
        err = remove_entry(&folder, tagname, NULL);
    return err == MMAP_NOT_FOUND ? 0 : err;
}

/* ---- objects --------------------------------------------------------------------------------- */

void mmap_os_close(struct os_object *object)
{
    struct folder folder;
    struct path path;

    if (object->created && object->name.key[0] != '\0' && object->name.draft >= 0) {
        remove_object(object->name.key);
        if (use_folder(&folder) == 0) {
            path_in(&path, &folder, 't', object->name.key);
            unlink(path.text);
        }
        close(object->name.draft);
        object->name.draft = -1;
    }
    mmap_posix_close(object);
}

int mmap_os_size(const struct os_object *object, uint64_t *size)
{
    if (object->name.key[0] == '\0')
        return mmap_posix_size(object, size);
    *size = object->name.size;
    return 0;
}

/* macOS sizes an object once only, which is when it is created. */
int mmap_os_resize(struct os_object *object, uint64_t old_size, uint64_t new_size)
{
    if (object->name.key[0] != '\0' && new_size > OBJECT_SIZE_MAX)
        return MMAP_OUT_OF_MEM;
    int err = mmap_posix_resize(object, old_size, new_size);
    if (err == 0)
        object->name.size = new_size;
    return err;
}
