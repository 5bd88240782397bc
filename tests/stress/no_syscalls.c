/* SPDX-License-Identifier: MIT */
/*
 * No system call per message while both sides are awake: counted by the kernel, which traps every
 * one that the two threads make (seccomp, SECCOMP_RET_TRAP).
 *
 * Each manner of moving bytes is used on a ring that may sleep, by two threads that never have to,
 * since they look for as long as it takes. Their calls must come to 0. As a control, two threads
 * that never look must be seen to make some.
 */
#define _GNU_SOURCE

#include <mring/spsc.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MESSAGES = 200000, MESSAGE_BYTES = 48 };

#define FOR_EVER_NS INT64_C(1000000000000)

/* ---- counting -------------------------------------------------------------------------------- */

static _Thread_local uint64_t calls;

/* The call has not been made; whoever made it goes on as if it had failed. */
static void on_trap(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    calls++;
}

/* From now on every call of this thread is trapped, but for what it takes to return and to end. */
static void trap_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof code / sizeof code[0], .filter = code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        puts("0 passed, 0 failed: skipped, since this process may not filter its system calls");
        exit(0);
    }
    calls = 0;
}

/* ---- moving ---------------------------------------------------------------------------------- */

static bool put_element(struct mring_spsc *ring, const unsigned char *bytes)
{
    return mring_spsc_push(ring, bytes, MESSAGE_BYTES);
}

static bool take_element(struct mring_spsc *ring, unsigned char *bytes)
{
    return mring_spsc_pop(ring, bytes, MESSAGE_BYTES);
}

static bool put_in_place(struct mring_spsc *ring, const unsigned char *bytes)
{
    void *room = mring_spsc_reserve(ring, MESSAGE_BYTES);

    if (room == NULL)
        return false;
    memcpy(room, bytes, MESSAGE_BYTES);
    mring_spsc_commit(ring, MESSAGE_BYTES);
    return true;
}

static bool take_in_place(struct mring_spsc *ring, unsigned char *bytes)
{
    size_t size;
    const void *there = mring_spsc_peek(ring, MESSAGE_BYTES, &size);

    if (there == NULL)
        return false;
    memcpy(bytes, there, MESSAGE_BYTES);
    mring_spsc_consume(ring, MESSAGE_BYTES);
    return true;
}

static bool put_message(struct mring_spsc *ring, const unsigned char *bytes)
{
    return mring_spsc_send(ring, bytes, MESSAGE_BYTES) == 0;
}

static bool take_message(struct mring_spsc *ring, unsigned char *bytes)
{
    size_t size;

    return mring_spsc_recv(ring, bytes, MESSAGE_BYTES, &size) == 0;
}

static const struct manner {
    const char *name;
    bool (*put)(struct mring_spsc *ring, const unsigned char *bytes);
    bool (*take)(struct mring_spsc *ring, unsigned char *bytes);
    unsigned flags;
    struct mring_tuning tuning;
    bool sleeps; /* the control */
} manners[] = {
    { "elements", put_element, take_element, 0, { .spin_ns = FOR_EVER_NS }, false },
    { "elements, fences",
      put_element,
      take_element,
      MRING_FENCE,
      { .spin_ns = FOR_EVER_NS },
      false },
    { "in place", put_in_place, take_in_place, 0, { .spin_ns = FOR_EVER_NS }, false },
    { "in place, batches",
      put_in_place,
      take_in_place,
      0,
      { .spin_ns = FOR_EVER_NS, .batch_bytes = 1024 },
      false },
    { "messages", put_message, take_message, 0, { .spin_ns = FOR_EVER_NS }, false },
    { "elements, never looking", put_element, take_element, 0, { .spin_ns = -1 }, true },
};

struct exchange {
    struct mring_spsc ring;
    const struct manner *manner;
    atomic_int producer_tid, consumer_tid;
    uint64_t producer_calls, consumer_calls;
    uint64_t mismatches;
};

/* The first use of an end prepares the checks of debug builds. */
static void *produce(void *context)
{
    struct exchange *exchange = context;
    struct mring_spsc *ring = &exchange->ring;
    unsigned char bytes[MESSAGE_BYTES];

    mring_spsc_writable(ring);
    exchange->producer_tid = (int)syscall(SYS_gettid);
    trap_calls();
    for (unsigned number = 0; number < MESSAGES; number++) {
        memset(bytes, (int)(number % 251), sizeof bytes);
        while (!exchange->manner->put(ring, bytes))
            mring_spsc_wait_writable(ring, 2 * MESSAGE_BYTES, -1);
    }
    mring_spsc_flush(ring, MRING_WRITE_END);
    exchange->producer_calls = calls;
    return NULL;
}

static void *consume(void *context)
{
    struct exchange *exchange = context;
    struct mring_spsc *ring = &exchange->ring;
    unsigned char bytes[MESSAGE_BYTES];

    mring_spsc_readable(ring);
    exchange->consumer_tid = (int)syscall(SYS_gettid);
    trap_calls();
    for (unsigned number = 0; number < MESSAGES; number++) {
        while (!exchange->manner->take(ring, bytes))
            mring_spsc_wait_readable(ring, MESSAGE_BYTES, -1);
        exchange->mismatches +=
            bytes[0] != number % 251 || bytes[MESSAGE_BYTES - 1] != number % 251;
    }
    exchange->consumer_calls = calls;
    return NULL;
}

/* When the kernel does not know the thread any more: musl's pthread_join() would wait for a
   wake-up, which is a call that the other must not make. */
static void join(pthread_t thread, atomic_int *tid)
{
    while (*tid == 0 || syscall(SYS_tgkill, getpid(), *tid, 0) == 0)
        usleep(1000);
    pthread_join(thread, NULL);
}

static bool run(const struct manner *manner)
{
    struct exchange exchange = { .manner = manner };
    struct mring_args args = { .capacity = mring_capacity(1, 0), .flags = manner->flags };
    pthread_t producer, consumer;

    if (mring_spsc_create(&exchange.ring, &args) != 0 ||
        mring_spsc_tune(&exchange.ring, MRING_WRITE_END, &manner->tuning) != 0 ||
        mring_spsc_tune(&exchange.ring, MRING_READ_END, &manner->tuning) != 0 ||
        pthread_create(&producer, NULL, produce, &exchange) != 0 ||
        pthread_create(&consumer, NULL, consume, &exchange) != 0)
        abort();
    join(producer, &exchange.producer_tid);
    join(consumer, &exchange.consumer_tid);
    mring_spsc_destroy(&exchange.ring);

    bool none = exchange.producer_calls + exchange.consumer_calls == 0;
    bool good = exchange.mismatches == 0 && none == !manner->sleeps;
    printf("%s: %d messages, system calls: %llu of the producer, %llu of the consumer%s\n",
           manner->name, MESSAGES, (unsigned long long)exchange.producer_calls,
           (unsigned long long)exchange.consumer_calls, good ? "" : ": FAILED");
    return good;
}

struct reading {
    atomic_int tid;
    bool is_call;
};

static void *read_clock(void *context)
{
    struct reading *reading = context;

    reading->tid = (int)syscall(SYS_gettid);
    trap_calls();
    mring_os_now();
    reading->is_call = calls > 0;
    return NULL;
}

/* Some machines have no clock that can be read without one; then looking for a time makes some. */
static bool clock_is_a_call(void)
{
    struct reading reading = { 0 };
    pthread_t thread;

    if (pthread_create(&thread, NULL, read_clock, &reading) != 0)
        abort();
    join(thread, &reading.tid);
    return reading.is_call;
}

int main(void)
{
    unsigned passed = 0, failed = 0;

    /* With what comes with SA_SIGINFO, it returns by the same call on all processors. */
    sigaction(SIGSYS, &(struct sigaction){ .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO }, NULL);
    if (clock_is_a_call()) {
        puts("0 passed, 0 failed: skipped, since reading the clock is a system call here");
        return 0;
    }
    for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++) {
        if (run(&manners[i]))
            passed++;
        else
            failed++;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
