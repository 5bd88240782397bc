/* SPDX-License-Identifier: MIT */
/*
 * The names of src/mmap_shm.c, which macOS and the BSDs have, over src/mmap_portable.c: both are
 * compiled in. Their steps are counted here, and any of them can fail, or be a process's last.
 */
#define _GNU_SOURCE

#include "../../src/mmap_posix.h"
#include "support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool step(void);
static void record_object(const char *name);
static void run_meanwhile(void);
static void run_at_removal(void);
static bool fails(void);

#define PARENT_FOLDER        support_folder()
#define mmap_posix_open(...) (step() ? -1 : mmap_posix_open(__VA_ARGS__))
#define shm_open(name, ...)  (record_object(name), step() ? -1 : shm_open(name, __VA_ARGS__))
#define shm_unlink(name)     (run_at_removal(), step() ? -1 : shm_unlink(name))
#define pwrite(...)          (step() ? -1 : pwrite(__VA_ARGS__))
#define pread(...)           (step() ? -1 : pread(__VA_ARGS__))
#define flock(...)           (run_meanwhile(), step() || fails() ? -1 : flock(__VA_ARGS__))
#define fcntl(...)           (run_meanwhile(), step() ? -1 : fcntl(__VA_ARGS__))
#define fsync(fd)            (step() ? -1 : fsync(fd))
#define link(...)            (step() ? -1 : link(__VA_ARGS__))
#define unlink(path)         (step() ? -1 : unlink(path))
#define mkdir(...)           (step() ? -1 : mkdir(__VA_ARGS__))
#define opendir(path)        (step() ? NULL : opendir(path))
#define getentropy(...)      (step() ? -1 : getentropy(__VA_ARGS__))
#define close(fd)            (step(), close(fd))
#define lstat(...)           (step() ? -1 : lstat(__VA_ARGS__))
#define fstat(...)           (step() ? -1 : fstat(__VA_ARGS__))
#include "../../src/mmap_shm.c"
#undef mmap_posix_open
#undef shm_open
#undef shm_unlink
#undef pwrite
#undef pread
#undef flock
#undef fcntl
#undef fsync
#undef link
#undef unlink
#undef mkdir
#undef opendir
#undef getentropy
#undef close
#undef lstat
#undef fstat

TestSuite(mmap_shm, .init = support_begin, .timeout = 60);

/* ---- the world ------------------------------------------------------------------------------- */

/* Shared with children: the number of steps until death or failure, and the objects opened. */
static struct {
    unsigned steps_left; /* 0: no end */
    int error;           /* 0: death */
    atomic_bool filling, go;
    volatile pid_t child;
    unsigned count;
    char objects[512][64];
} * shared;

/* Whether this step fails. */
static bool step(void)
{
    if (shared == NULL || shared->steps_left == 0 || --shared->steps_left > 0)
        return false;
    if (shared->error == 0)
        raise(SIGKILL);
    errno = shared->error;
    return true;
}

static void record_object(const char *name)
{
    if (shared != NULL && shared->count < 512)
        strcpy(shared->objects[shared->count++], name);
}

/* Happens once, right before a lock is taken. */
static void (*meanwhile)(void);

static void run_meanwhile(void)
{
    void (*what)(void) = meanwhile;

    meanwhile = NULL;
    if (what != NULL)
        what();
}

/* Happens once, right before an object is removed. */
static void (*at_removal)(void);

static void run_at_removal(void)
{
    void (*what)(void) = at_removal;

    at_removal = NULL;
    if (what != NULL)
        what();
}

/* What flock() fails with, if it is not 0. */
static int lock_failure;

static bool fails(void)
{
    errno = lock_failure;
    return lock_failure != 0;
}

static void share(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);
    cr_assert_neq(shared, MAP_FAILED);
}

static const char *folder_path(void)
{
    static struct folder folder;

    cr_assert(find_folder(folder.text, sizeof folder.text));
    return folder.text;
}

/* Files in the folder whose names begin with `kind`. */
static unsigned count_files(char kind)
{
    DIR *directory = opendir(folder_path());
    struct dirent *file;
    unsigned count = 0;

    while (directory != NULL && (file = readdir(directory)) != NULL)
        count += file->d_name[0] == kind;
    if (directory != NULL)
        closedir(directory);
    return count;
}

/* Objects of this test that are still there. */
static unsigned count_objects(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < shared->count; i++) {
        bool again = false;
        int fd = shm_open(shared->objects[i], O_RDONLY, 0);

        for (unsigned j = 0; j < i; j++)
            again |= strcmp(shared->objects[i], shared->objects[j]) == 0;
        if (fd >= 0)
            close(fd);
        count += fd >= 0 && !again;
    }
    return count;
}

/* The test's own folder, with the one of the names in it. */
static void clean_up(void)
{
    char command[PATH_MAX + 16];

    cr_assert_eq(count_files('t'), 0, "drafts are left");
    cr_assert_eq(count_files('n'), 0, "entries are left");
    cr_assert_eq(count_objects(), 0, "objects are left");
    snprintf(command, sizeof command, "rm -r %s", folder_path());
    cr_assert_eq(system(command), 0);
    support_end();
}

/* ---- what is done to names ------------------------------------------------------------------- */

/* No whole pages. */
#define SIZE ((uint64_t)5000)

static int fill(struct mmap *map, void *context)
{
    (void)context;
    for (uint64_t i = 0; i < map->size; i++)
        ((unsigned char *)map->addr)[i] = support_byte(i);
    return 0;
}

static int use_name(struct mmap *map, const char *tagname, unsigned flags)
{
    return mmap_map(map, &(struct mmap_args){ .file.tagname = tagname,
                                              .access = MMAP_WRITE,
                                              .flags = flags,
                                              .size = flags & MMAP_EXISTING ? 0 : SIZE,
                                              .init = fill });
}

static bool is_complete(const struct mmap *map)
{
    return map->size == SIZE && support_has_bytes(map->addr, 0, SIZE);
}

static const char *make_and_free(void *context)
{
    struct mmap map = { 0 };

    EXPECT(use_name(&map, context, 0) == 0);
    EXPECT(map.created && is_complete(&map));
    EXPECT(mmap_free(&map) == 0);
    return NULL;
}

static const char *remove_name(void *context)
{
    EXPECT(mmap_unlink(context) == 0);
    return NULL;
}

/* Have another maker sweep, which leaves nothing itself. */
static void sweep_by_making(void)
{
    char *other = strdup(support_tagname("sweeper"));

    cr_assert_null(make_and_free(other));
    cr_assert_null(remove_name(other));
    free(other);
}

/* Run in a child that dies at its k-th step. False when it came to its end before. */
static bool dies_at(unsigned k, support_body *body, void *context)
{
    shared->steps_left = k;
    const char *failure = support_child(body, context);
    shared->steps_left = 0;

    cr_assert(failure == NULL || strcmp(failure, "signal 9") == 0, "step %u: %s", k, failure);
    return failure != NULL;
}

/* ---- names ----------------------------------------------------------------------------------- */

Test(mmap_shm, keeps_the_exact_size_and_the_data)
{
    struct mmap map = { 0 }, again = { 0 };
    const char *tagname = support_tagname("name");
    uint64_t size;
    share();

    cr_assert_eq(use_name(&map, tagname, MMAP_EXCLUSIVE), 0);
    cr_assert_eq(use_name(&again, tagname, MMAP_EXISTING), 0);

    cr_expect(map.created && !again.created);
    cr_expect(is_complete(&again));
    ((char *)map.addr)[7] = 'x';
    cr_expect_eq(((char *)again.addr)[7], 'x');
    cr_expect_eq(mmap_filesize(&(struct mmap_file){ .tagname = tagname }, &size), 0);
    cr_expect_eq(size, SIZE);
    cr_expect_eq(use_name(&map, tagname, MMAP_EXCLUSIVE), MMAP_EXISTS);
    cr_expect_eq(mmap_unlink(tagname), 0);
    cr_expect_eq(mmap_unlink(tagname), 0);
    cr_expect_eq(use_name(&map, tagname, MMAP_EXISTING), MMAP_NOT_FOUND);
    mmap_free(&map);
    mmap_free(&again);
    clean_up();
}

Test(mmap_shm, takes_names_that_are_longer_than_the_systems)
{
    struct mmap map = { 0 };
    char tagname[MMAP_TAGNAME_MAX + 1];
    share();

    memset(tagname, 'n', MMAP_TAGNAME_MAX);
    tagname[MMAP_TAGNAME_MAX] = '\0';
    cr_assert_eq(use_name(&map, tagname, 0), 0);
    tagname[MMAP_TAGNAME_MAX - 1] = 'm';
    struct mmap other = { 0 };
    cr_expect_eq(use_name(&other, tagname, MMAP_EXISTING), MMAP_NOT_FOUND);
    for (unsigned i = 0; i < shared->count; i++)
        cr_expect_leq(strlen(shared->objects[i]), 30u);

    tagname[MMAP_TAGNAME_MAX - 1] = 'n';
    cr_expect_eq(mmap_unlink(tagname), 0);
    mmap_free(&map);
    clean_up();
}

/* A file at the place of another name, as if both had the same hash. */
Test(mmap_shm, tells_names_of_the_same_hash_apart)
{
    struct mmap map = { 0 };
    const char *one = support_tagname("one"), *two = support_tagname("two");
    struct folder folder;
    struct path from, to;
    share();

    cr_assert_eq(use_name(&map, one, 0), 0);
    cr_assert_eq(use_folder(&folder), 0);
    entry_path(&from, &folder, one);
    entry_path(&to, &folder, two);
    cr_assert_eq(rename(from.text, to.text), 0);

    struct mmap other = { 0 };
    cr_expect_eq(use_name(&other, two, MMAP_EXISTING), MMAP_EXISTS);
    cr_expect_eq(use_name(&other, two, 0), MMAP_EXISTS);
    cr_expect_eq(mmap_unlink(two), 0);
    cr_expect_eq(count_files('n'), 1);
    cr_expect_eq(count_objects(), 1);

    cr_assert_eq(rename(to.text, from.text), 0);
    cr_expect_eq(mmap_unlink(one), 0);
    mmap_free(&map);
    clean_up();
}

/* As a crash of the machine leaves them; the last one is what another program might put there. */
Test(mmap_shm, removes_what_is_no_entry)
{
    static const uint64_t sizes[] = { 0, 1, sizeof(struct entry), sizeof(struct entry) + 1 };
    char *tagname = strdup(support_tagname("name"));
    struct folder folder;
    struct path path;
    struct mmap map = { 0 };
    share();

    cr_assert_eq(make_folder(&folder), 0);
    entry_path(&path, &folder, tagname);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        support_write_file(path.text, sizes[i]);
        cr_expect_eq(use_name(&map, tagname, MMAP_EXISTING), MMAP_NOT_FOUND, "size %zu", i);
        cr_expect_eq(count_files('n'), 0, "size %zu", i);

        support_write_file(path.text, sizes[i]);
        cr_expect_null(remove_name(tagname), "size %zu", i);
        cr_expect_eq(count_files('n'), 0, "size %zu", i);

        support_write_file(path.text, sizes[i]);
        cr_expect_null(make_and_free(tagname), "size %zu", i);
        cr_expect_null(remove_name(tagname), "size %zu", i);
    }
    free(tagname);
    clean_up();
}

Test(mmap_shm, denies_what_is_no_file_and_a_folder_that_others_may_enter)
{
    struct mmap map = { 0 };
    const char *tagname = support_tagname("name");
    struct folder folder;
    struct path path;
    share();

    cr_assert_eq(make_folder(&folder), 0);
    entry_path(&path, &folder, tagname);
    cr_assert_eq(mkdir(path.text, 0700), 0);
    cr_expect_eq(use_name(&map, tagname, 0), MMAP_ACCESS_DENIED);
    cr_expect_eq(mmap_unlink(tagname), MMAP_ACCESS_DENIED);
    cr_assert_eq(rmdir(path.text), 0);
    cr_assert_eq(symlink("/dev/null", path.text), 0);
    cr_expect_eq(use_name(&map, tagname, 0), MMAP_ACCESS_DENIED);
    cr_expect_eq(mmap_unlink(tagname), MMAP_ACCESS_DENIED);
    cr_assert_eq(unlink(path.text), 0);

    cr_assert_eq(chmod(folder.text, 0770), 0);
    cr_expect_eq(use_name(&map, tagname, 0), MMAP_ACCESS_DENIED);
    cr_expect_eq(mmap_unlink(tagname), MMAP_ACCESS_DENIED);
    clean_up();
}

Test(mmap_shm, has_no_memory_for_what_no_address_space_holds)
{
    struct mmap map = { 0 };
    struct mmap_args args = { .file.tagname = support_tagname("name"),
                              .access = MMAP_WRITE,
                              .size = ((uint64_t)1 << 47) + 1 };
    share();

    cr_expect_eq(mmap_map(&map, &args), MMAP_OUT_OF_MEM);
    args.size = (uint64_t)INT64_MAX;
    cr_expect_eq(mmap_map(&map, &args), MMAP_OUT_OF_MEM);
    clean_up();
}

Test(mmap_shm, fails_and_leaves_nothing_where_a_draft_cannot_be_locked)
{
    struct mmap map = { 0 };
    const char *tagname = support_tagname("name");
    share();

    lock_failure = ENOLCK;
    cr_expect_eq(use_name(&map, tagname, 0), ENOLCK);
    cr_expect_eq(count_files('t'), 0);
    cr_expect_eq(shared->count, 0);

    /* Those that sweep it have it, and remove it. */
    lock_failure = EWOULDBLOCK;
    cr_expect_eq(use_name(&map, tagname, 0), EBUSY);
    lock_failure = 0;
    sweep_by_making();
    clean_up();
}

static int lose_folder(struct mmap *map, void *context)
{
    (void)map;
    return rename(folder_path(), context) == 0 ? EIO : errno;
}

Test(mmap_shm, removes_the_object_of_what_was_not_published_though_the_folder_is_gone)
{
    struct mmap map = { 0 };
    const char *elsewhere = support_path("elsewhere");
    share();

    cr_expect_eq(mmap_map(&map, &(struct mmap_args){ .file.tagname = support_tagname("name"),
                                                     .access = MMAP_WRITE,
                                                     .size = SIZE,
                                                     .init = lose_folder,
                                                     .context = (void *)(uintptr_t)elsewhere }),
                 EIO);
    cr_expect_eq(shared->count, 1);
    cr_expect_eq(count_objects(), 0);

    cr_assert_eq(rename(elsewhere, folder_path()), 0);
    sweep_by_making();
    clean_up();
}

Test(mmap_shm, keeps_the_mode_and_checks_it)
{
    struct mmap map = { 0 }, other = { 0 };
    const char *tagname = support_tagname("name");
    struct mmap_args args = {
        .file.tagname = tagname, .access = MMAP_WRITE, .size = SIZE, .mode = 0644
    };
    share();

    cr_assert_eq(mmap_map(&map, &args), 0);
    args.mode = 0;
    cr_expect_eq(mmap_map(&other, &args), MMAP_ACCESS_DENIED);
    args.flags = MMAP_ANY_OWNER;
    cr_expect_eq(mmap_map(&other, &args), 0);
    cr_expect_eq(mmap_unlink(tagname), 0);
    mmap_free(&map);
    mmap_free(&other);
    clean_up();
}

/* As after a restart of the machine. */
Test(mmap_shm, removes_an_entry_whose_object_is_gone)
{
    struct mmap map = { 0 };
    char *tagname = strdup(support_tagname("name"));
    share();

    for (int i = 0; i < 2; i++) {
        cr_assert_null(make_and_free(tagname));
        cr_assert_eq(count_files('n'), 1);
        cr_assert_eq(shm_unlink(shared->objects[shared->count - 1]), 0);
        if (i == 0) {
            cr_expect_eq(use_name(&map, tagname, MMAP_EXISTING), MMAP_NOT_FOUND);
            cr_expect_eq(count_files('n'), 0);
        }
    }
    cr_expect_null(make_and_free(tagname), "a name can be made anew");
    cr_expect_null(remove_name(tagname));
    free(tagname);
    clean_up();
}

/* ---- deaths ---------------------------------------------------------------------------------- */

Test(mmap_shm, a_maker_that_dies_leaves_a_complete_name_or_what_the_next_one_removes)
{
    char *tagname = strdup(support_tagname("name"));
    unsigned k = 1, published = 0, garbage = 0;
    share();

    for (; dies_at(k, make_and_free, tagname); k++) {
        struct mmap map = { 0 };
        int err = use_name(&map, tagname, MMAP_EXISTING);

        cr_assert(err == 0 ? is_complete(&map) : err == MMAP_NOT_FOUND, "step %u: %d", k, err);
        garbage += count_files('t') > 0;
        sweep_by_making();
        cr_assert_eq(count_files('t'), 0, "step %u", k);
        cr_assert_eq(count_files('n'), err == 0, "step %u", k);
        cr_assert_eq(count_objects(), err == 0, "step %u", k);
        cr_assert(err != 0 || is_complete(&map), "step %u", k);
        published += err == 0;
        cr_assert_null(remove_name(tagname), "step %u", k);
        mmap_free(&map);
    }
    cr_expect_geq(k, 8u, "only %u steps", k - 1);
    cr_expect_geq(published, 1u, "no death after the name was there");
    cr_expect_geq(garbage, 3u, "no death that left anything");
    cr_expect_null(remove_name(tagname));
    free(tagname);
    clean_up();
}

Test(mmap_shm, a_remover_that_dies_leaves_the_name_or_what_the_next_one_removes)
{
    char *tagname = strdup(support_tagname("name"));
    unsigned k = 1, halves = 0;
    share();

    cr_assert_null(make_and_free(tagname));
    for (; dies_at(k, remove_name, tagname); k++) {
        struct mmap map = { 0 };
        halves += count_files('n') > count_objects();
        int err = use_name(&map, tagname, MMAP_EXISTING);

        cr_assert(err == 0 ? is_complete(&map) : err == MMAP_NOT_FOUND, "step %u: %d", k, err);
        cr_assert_eq(count_files('n'), err == 0, "step %u", k);
        cr_assert_eq(count_objects(), err == 0, "step %u", k);
        mmap_free(&map);
        if (err != 0)
            cr_assert_null(make_and_free(tagname), "step %u", k);
    }
    cr_expect_geq(k, 6u, "only %u steps", k - 1);
    cr_expect_geq(halves, 1u, "no death between the object and the entry");
    free(tagname);
    clean_up();
}

/* ---- failures -------------------------------------------------------------------------------- */

static int make(struct mmap *map, const char *tagname)
{
    return use_name(map, tagname, 0);
}

static int attach(struct mmap *map, const char *tagname)
{
    return use_name(map, tagname, MMAP_EXISTING);
}

static int take_away(struct mmap *map, const char *tagname)
{
    (void)map;
    return mmap_unlink(tagname);
}

/* What a failure of the k-th step leaves is nothing, or what the next maker or finder removes. */
static bool fails_at(unsigned k, int error, int (*run)(struct mmap *map, const char *tagname),
                     const char *tagname)
{
    struct mmap map = { 0 };
    bool was_there = run != make;

    if (was_there)
        cr_assert_null(make_and_free((void *)(uintptr_t)tagname));
    shared->error = error;
    shared->steps_left = k;
    int err = run(&map, tagname);
    bool failed = shared->steps_left == 0;
    shared->steps_left = 0;
    shared->error = 0;

    cr_assert(failed || err == 0, "step %u, error %d: %d without a failure", k, error, err);
    cr_assert(map.addr == NULL || is_complete(&map), "step %u, error %d", k, error);
    mmap_free(&map);
    sweep_by_making();
    int found = attach(&map, tagname); /* which removes half a name */
    mmap_free(&map);
    cr_assert(found == 0 || found == MMAP_NOT_FOUND, "step %u, error %d: %d", k, error, found);
    cr_assert_eq(count_files('t'), 0, "step %u, error %d", k, error);
    cr_assert_eq(count_files('n'), found == 0, "step %u, error %d", k, error);
    cr_assert_eq(count_objects(), found == 0, "step %u, error %d", k, error);
    if (run == make && err != 0)
        cr_assert_eq(found, MMAP_NOT_FOUND, "step %u, error %d: a name of a failed call", k, error);
    cr_assert_null(remove_name((void *)(uintptr_t)tagname));
    return failed;
}

Test(mmap_shm, every_step_that_fails_leaves_nothing_behind)
{
    static int (*const runs[])(struct mmap *, const char *) = { make, attach, take_away };
    static const int errors[] = { EIO, EINTR, ENOSPC, EEXIST, EACCES, EMFILE, EWOULDBLOCK };
    char *tagname = strdup(support_tagname("name"));
    share();
    sweep_by_making();
    size_t descriptors = support_fd_count();

    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < sizeof errors / sizeof *errors; j++) {
            unsigned k = 1;
            while (fails_at(k, errors[j], runs[i], tagname))
                k++;
            cr_expect_geq(k, 8u, "%u steps", k);
            shared->count = 0;
        }
    }
    cr_expect_eq(support_fd_count(), descriptors);
    free(tagname);
    clean_up();
}

/* ---- at the same time ------------------------------------------------------------------------ */

static const char *other_name;

static int sweep_meanwhile(struct mmap *map, void *context)
{
    (void)context;
    const char *failure = support_child(make_and_free, (void *)(uintptr_t)other_name);
    return failure == NULL ? fill(map, NULL) : EIO;
}

Test(mmap_shm, a_maker_at_work_is_not_swept)
{
    struct mmap map = { 0 }, again = { 0 };
    const char *tagname = support_tagname("name");
    share();

    other_name = support_tagname("other");
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file.tagname = tagname,
                                                     .access = MMAP_WRITE,
                                                     .size = SIZE,
                                                     .init = sweep_meanwhile }),
                 0);
    cr_expect_eq(use_name(&again, tagname, MMAP_EXISTING), 0);
    cr_expect(is_complete(&again));
    mmap_free(&map);
    mmap_free(&again);
    cr_expect_eq(mmap_unlink(tagname), 0);
    cr_expect_eq(mmap_unlink(other_name), 0);
    clean_up();
}

static pid_t maker;

static int wait_to_go(struct mmap *map, void *context)
{
    (void)context;
    shared->filling = true;
    while (!shared->go)
        usleep(1000);
    return fill(map, NULL);
}

static void let_it_publish(void)
{
    shared->go = true;
    waitpid(maker, NULL, 0);
}

/* The sweeper has opened the draft, and gets the lock when the draft has become an entry. */
Test(mmap_shm, what_is_published_while_it_is_looked_at_is_not_swept)
{
    struct mmap map = { 0 };
    char *tagname = strdup(support_tagname("name"));
    share();

    maker = fork();
    if (maker == 0)
        _exit(mmap_map(&map, &(struct mmap_args){ .file.tagname = tagname,
                                                  .access = MMAP_WRITE,
                                                  .size = SIZE,
                                                  .init = wait_to_go }));
    while (!shared->filling)
        usleep(1000);
    meanwhile = let_it_publish;
    sweep_by_making();

    cr_expect(shared->go);
    cr_expect_eq(use_name(&map, tagname, MMAP_EXISTING), 0);
    cr_expect(is_complete(&map));
    mmap_free(&map);
    cr_expect_null(remove_name(tagname));
    free(tagname);
    clean_up();
}

/* A fork that no handler hears of, as those of posix_spawn() are. Returns 0 in the child. */
static long fork_quietly(void)
{
#if defined(__s390__) /* the order of the first two is another */
    return syscall(SYS_clone, NULL, SIGCHLD, NULL, NULL, NULL);
#else
    return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
#endif
}

static void fork_and_die(void)
{
    if (fork_quietly() == 0) {
        shared->child = (pid_t)syscall(SYS_getpid);
        shared->filling = true;
        alarm(50); /* longer than a child that hangs */
        for (;;)
            pause();
    }
    while (!shared->filling)
        usleep(1000);
    raise(SIGKILL);
}

static const char *remove_and_die(void *context)
{
    at_removal = fork_and_die;
    return remove_name(context);
}

Test(mmap_shm, a_child_of_a_remover_that_dies_holds_nobody_up)
{
    char *tagname = strdup(support_tagname("name"));
    share();

    cr_assert_null(make_and_free(tagname));
    /* The child of the child shall be ours then, and not the runner's. No emulator knows the call,
       and their runner does not mind. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const char *failure = support_child(remove_and_die, tagname);
    cr_assert(failure != NULL && strcmp(failure, "signal 9") == 0, "%s", failure);
    failure = support_child(remove_name, tagname);
    cr_expect_null(failure, "%s", failure);

    kill(shared->child, SIGKILL);
    free(tagname);
    clean_up();
}

static void remove_lock(void)
{
    struct folder folder;
    struct path path;

    cr_assert_eq(use_folder(&folder), 0);
    path_in(&path, &folder, 'l', "ock");
    cr_assert_eq(unlink(path.text), 0);
}

/* As a program does that cleans up /tmp. */
Test(mmap_shm, the_lock_is_the_one_that_others_find)
{
    struct folder folder;
    struct path path;
    char *tagname = strdup(support_tagname("name"));
    share();

    cr_assert_null(make_and_free(tagname));
    meanwhile = remove_lock;
    cr_expect_null(remove_name(tagname));
    cr_expect_null(meanwhile);
    cr_assert_eq(use_folder(&folder), 0);
    path_in(&path, &folder, 'l', "ock");
    cr_expect(support_exists(path.text), "what was locked was removed");
    free(tagname);
    clean_up();
}

static void *remove_again_and_again(void *tagname)
{
    while (!shared->go)
        mmap_unlink(tagname);
    return NULL;
}

/* A child that was forked while another thread held the lock would wait for that thread. */
Test(mmap_shm, a_child_can_remove_names_whatever_other_threads_were_doing)
{
    pthread_t thread;
    char *tagname = strdup(support_tagname("name"));
    const char *failure = NULL;
    share();

    cr_assert_null(make_and_free(tagname));
    cr_assert_eq(pthread_create(&thread, NULL, remove_again_and_again, tagname), 0);
    for (int i = 0; i < 200 && failure == NULL; i++)
        failure = support_child(remove_name, tagname);
    shared->go = true;
    pthread_join(thread, NULL);

    cr_expect_null(failure, "%s", failure);
    free(tagname);
    clean_up();
}

#define PROCESSES 4
#define ROUNDS    1500

/* Make or find, look, and remove, all on one name. */
static const char *crowd(const char *tagname, unsigned seed)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct mmap map = { 0 };
        bool attach = (seed + i) % 3 == 0;
        int err = use_name(&map, tagname, attach ? MMAP_EXISTING : 0);

        EXPECT(err == 0 || (attach && err == MMAP_NOT_FOUND) || err == MMAP_EXISTS);
        EXPECT(err != 0 || is_complete(&map));
        mmap_free(&map);
        if ((seed + i) % 4 == 0)
            EXPECT(mmap_unlink(tagname) == 0);
    }
    return NULL;
}

Test(mmap_shm, nobody_finds_half_a_name_whatever_others_do)
{
    const char *tagname = support_tagname("name");
    pid_t processes[PROCESSES];
    share();

    for (unsigned i = 0; i < PROCESSES; i++) {
        processes[i] = fork();
        if (processes[i] == 0) {
            shared = NULL; /* too many objects to remember */
            const char *failure = crowd(tagname, i);
            if (failure != NULL)
                fprintf(stderr, "%s\n", failure);
            _exit(failure != NULL);
        }
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = -1;
        waitpid(processes[i], &status, 0);
        cr_expect_eq(status, 0, "process %u", i);
    }
    cr_expect_eq(mmap_unlink(tagname), 0);
    clean_up();
}
