/* SPDX-License-Identifier: MIT */
/*
 * Sleeping and waking on Windows. All sleeps are longer than their tests may take, so that who is
 * back was woken.
 */
#include <windows.h>

/* What the test's own src/wait_windows.c finds, and may open. */
static BOOL functions_hidden, opening_denied;

static FARPROC find_unless_hidden(HMODULE library, const char *name)
{
    return functions_hidden ? NULL : GetProcAddress(library, name);
}

static HANDLE open_unless_denied(DWORD access, BOOL inherit, const wchar_t *name)
{
    if (!opening_denied)
        return OpenEventW(access, inherit, name);
    SetLastError(ERROR_ACCESS_DENIED);
    return NULL;
}

#define GetProcAddress(library, name)     find_unless_hidden(library, name)
#define OpenEventW(access, inherit, name) open_unless_denied(access, inherit, name)
#include "../../src/wait_windows.c"
#undef GetProcAddress
#undef OpenEventW

#include "windows_security.h"

#include <criterion/criterion.h>
#include <mring/mmap.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(wait_windows, .timeout = 30);

#define LONG_SLEEP     (600 * NS_PER_SECOND)
#define SOON_MS        10000
#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])

/* ---- sleepers -------------------------------------------------------------------------------- */

/* A thread that sleeps once, while the epoch is 0. */
struct sleeper {
    struct mring_event *event;
    int64_t timeout_ns;
    HANDLE thread;
};

static DWORD WINAPI sleep_once(void *context)
{
    struct sleeper *sleeper = context;

    mring_os_sleep(sleeper->event, 0, sleeper->timeout_ns);
    return 0;
}

static void start(struct sleeper *sleeper, struct mring_event *event)
{
    if (sleeper->timeout_ns == 0)
        sleeper->timeout_ns = LONG_SLEEP;
    sleeper->event = event;
    sleeper->thread = CreateThread(NULL, 0, sleep_once, sleeper, 0, NULL);
    cr_assert_neq(sleeper->thread, NULL);
}

static unsigned count_entered(struct mring_event *event)
{
    unsigned count = 0;

    if (event->id == 0)
        return (unsigned)mring_load_acquire_u64(&event->sleepers[0]);
    for (unsigned i = 0; i < SLEEPERS_SLOTS; i++)
        count += mring_load_acquire_u64(&event->sleepers[i]) != 0;
    return count;
}

/* Until so many are there, and have had time to fall asleep. */
static void await_entered(struct mring_event *event, unsigned count)
{
    int64_t end = mring_os_now() + 10 * NS_PER_SECOND;

    while (count_entered(event) != count && mring_os_now() < end)
        Sleep(1);
    cr_assert_eq(count_entered(event), count);
    Sleep(20);
}

static void start_all(struct sleeper *sleepers, unsigned count, struct mring_event *event)
{
    for (unsigned i = 0; i < count; i++)
        start(&sleepers[i], event);
    await_entered(event, count);
}

static bool is_back(const struct sleeper *sleeper, DWORD patience_ms)
{
    return WaitForSingleObject(sleeper->thread, patience_ms) == WAIT_OBJECT_0;
}

static unsigned count_back(const struct sleeper *sleepers, unsigned count)
{
    unsigned back = 0;

    Sleep(200);
    for (unsigned i = 0; i < count; i++)
        back += is_back(&sleepers[i], 0);
    return back;
}

/* Without N3, which would also be seen by who is not asleep yet. */
static void expect_back(const struct sleeper *sleepers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        cr_expect(is_back(&sleepers[i], SOON_MS), "sleeper %u", i);
}

static struct mring_event named_event(void)
{
    return (struct mring_event){ .id = mring_os_event_id() };
}

/* ---- in one process -------------------------------------------------------------------------- */

static void expect_to_wake_no_more_than_told(struct mring_event *event)
{
    struct sleeper sleepers[4] = { { 0 } };
    start_all(sleepers, 4, event);

    cr_expect_eq(mring_os_wake(event, 1), 1);
    cr_expect_eq(count_back(sleepers, 4), 1);
    cr_expect_eq(mring_os_wake(event, 2), 2);
    cr_expect_eq(count_back(sleepers, 4), 3);
    cr_expect_eq(mring_os_wake(event, MRING_WAKE_ALL), 1);
    expect_back(sleepers, 4);
    cr_expect_eq(mring_os_wake(event, MRING_WAKE_ALL), 0);
}

Test(wait_windows, wakes_by_address_no_more_than_it_is_told)
{
    struct mring_event event = { 0 };

    expect_to_wake_no_more_than_told(&event);
}

/* The system before Windows 8. Naps end when the epoch changes. */
Test(wait_windows, does_without_the_functions_that_sleep_on_an_address)
{
    static const int64_t timeouts[] = { LONG_SLEEP, INT64_MAX };

    functions_hidden = TRUE;
    for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
        struct mring_event event = { 0 };
        struct sleeper sleepers[2] = { { .timeout_ns = timeouts[i] },
                                       { .timeout_ns = timeouts[i] } };
        start_all(sleepers, 2, &event);
        cr_expect_eq(count_back(sleepers, 2), 0, "row %zu", i);

        cr_expect_eq(mring_os_wake(&event, MRING_WAKE_ALL), 2, "row %zu", i);
        cr_expect_eq(count_back(sleepers, 2), 0, "row %zu", i);
        mring_add_release_u32(&event.epoch, 1);
        expect_back(sleepers, 2);
    }
}

Test(wait_windows, a_nap_ends_when_its_time_is_over)
{
    struct mring_event event = { 0 };
    struct sleeper sleeper = { .timeout_ns = 20 * NS_PER_MILLISECOND };
    functions_hidden = TRUE;

    start(&sleeper, &event);

    cr_expect(is_back(&sleeper, SOON_MS));
}

/* Whatever another process writes there. */
Test(wait_windows, a_number_of_sleepers_that_cannot_be_costs_nothing)
{
    static const uint32_t limits[] = { 1, ONE_BY_ONE, ONE_BY_ONE + 1, 1u << 30, MRING_WAKE_ALL };
    struct mring_event event = { .sleepers = { { UINT64_MAX } } };
    int64_t before = mring_os_now();

    for (size_t i = 0; i < COUNT_OF(limits); i++)
        cr_expect_eq(mring_os_wake(&event, limits[i]), limits[i], "row %zu", i);

    cr_expect_lt(mring_os_now() - before, 2 * NS_PER_SECOND);
}

/* ---- in several processes -------------------------------------------------------------------- */

Test(wait_windows, wakes_sleepers_of_a_named_ring_no_more_than_it_is_told)
{
    struct mring_event event = named_event();

    expect_to_wake_no_more_than_told(&event);
    cr_expect_eq(count_entered(&event), 0);
}

Test(wait_windows, who_comes_after_the_wake_does_not_sleep)
{
    struct mring_event event = named_event();
    struct sleeper sleeper = { 0 };
    mring_add_release_u32(&event.epoch, 1);

    start(&sleeper, &event);

    cr_expect(is_back(&sleeper, SOON_MS));
    cr_expect_eq(count_entered(&event), 0);
}

Test(wait_windows, who_comes_back_by_itself_leaves_its_slot)
{
    struct mring_event event = named_event();
    struct sleeper sleeper = { .timeout_ns = 10 * NS_PER_MILLISECOND };

    start(&sleeper, &event);

    cr_expect(is_back(&sleeper, SOON_MS));
    cr_expect_eq(count_entered(&event), 0);
    cr_expect_eq(mring_os_wake(&event, MRING_WAKE_ALL), 0);
}

/* It sleeps for a moment, and looks for itself. */
Test(wait_windows, who_finds_no_slot_comes_back_soon)
{
    struct mring_event event = named_event();
    struct sleeper sleepers[SLEEPERS_SLOTS] = { { 0 } }, another = { 0 };
    start_all(sleepers, SLEEPERS_SLOTS, &event);

    start(&another, &event);

    cr_expect(is_back(&another, SOON_MS));
    cr_expect_eq(count_back(sleepers, SLEEPERS_SLOTS), 0);
    cr_expect_eq(mring_os_wake(&event, MRING_WAKE_ALL), SLEEPERS_SLOTS);
    expect_back(sleepers, SLEEPERS_SLOTS);
}

static struct mring_event event_of_the_dead(void)
{
    struct mring_event event = named_event();

    for (unsigned i = 0; i < SLEEPERS_SLOTS; i++)
        mring_store_relaxed_u64(&event.sleepers[i], i + 1);
    mring_store_relaxed_u64(&event.tickets, SLEEPERS_SLOTS);
    return event;
}

Test(wait_windows, the_dead_make_room_for_others)
{
    struct mring_event event = event_of_the_dead();
    struct sleeper sleeper = { 0 };

    start(&sleeper, &event);
    await_entered(&event, 1);

    cr_expect_not(is_back(&sleeper, 0));
    cr_expect_eq(mring_os_wake(&event, MRING_WAKE_ALL), 1);
    cr_expect(is_back(&sleeper, SOON_MS));
}

Test(wait_windows, the_dead_are_not_counted)
{
    struct mring_event event = event_of_the_dead();

    cr_expect_eq(mring_os_wake(&event, 1), 0);
    cr_expect_eq(count_entered(&event), 0);
}

/* What cannot be opened may be somebody who sleeps: he is left out, and nobody says otherwise. */
Test(wait_windows, who_cannot_be_reached_is_not_acknowledged)
{
    struct mring_event event = named_event();
    struct sleeper sleeper = { 0 };
    mring_store_relaxed_u32(&event.arm, 1);
    start_all(&sleeper, 1, &event);

    opening_denied = TRUE;
    cr_expect_eq(mring_os_wake(&event, 1), 1);
    mring_event_wake(&event, -1, MRING_WAKE_ALL);
    cr_expect_eq(mring_load_acquire_u32(&event.ack), 0);
    cr_expect_eq(count_entered(&event), 1);
    cr_expect_eq(count_back(&sleeper, 1), 0);

    opening_denied = FALSE;
    cr_expect_eq(mring_event_wake(&event, -1, MRING_WAKE_ALL), 1);
    cr_expect_eq(mring_load_acquire_u32(&event.ack), 1);
    cr_expect(is_back(&sleeper, SOON_MS));
}

/* By an event or by something else: what is there is not slept on. */
Test(wait_windows, who_finds_its_name_taken_comes_back_soon)
{
    for (int i = 0; i < 2; i++) {
        struct mring_event event = named_event();
        struct sleeper sleeper = { 0 };
        wchar_t name[NAME_LENGTH];
        write_name(name, event.id, 1);
        HANDLE object =
            i == 0 ? CreateEventW(NULL, FALSE, FALSE, name) : CreateMutexW(NULL, FALSE, name);
        cr_assert_neq(object, NULL);

        start(&sleeper, &event);

        cr_expect(is_back(&sleeper, SOON_MS), "row %d", i);
        cr_expect_eq(count_entered(&event), 0, "row %d", i);
        CloseHandle(object);
    }
}

/* Its user alone, whatever rights a process of his makes things with. */
Test(wait_windows, a_sleepers_event_is_of_its_user_alone)
{
    struct mring_event event = named_event();
    struct sleeper sleeper = { 0 };
    wchar_t name[NAME_LENGTH];
    start_all(&sleeper, 1, &event);

    write_name(name, event.id, 1);
    HANDLE object = OpenEventW(READ_CONTROL, FALSE, name);
    cr_assert_neq(object, NULL);
    cr_expect(is_of_user_alone(object));
    CloseHandle(object);
    mring_os_wake(&event, 1);
    cr_expect(is_back(&sleeper, SOON_MS));
}

/* ---- another process ------------------------------------------------------------------------- */

/* It is this program, told by its environment whose memory it shall sleep in. */
#define VARIABLE "MRING_TEST_SLEEP_IN"
#define WOKEN    77

static struct mring_event *map_event(struct mmap *map, const char *tagname)
{
    int err = mmap_map(map, &(struct mmap_args){ .file = { .tagname = tagname },
                                                 .access = MMAP_WRITE,
                                                 .size = sizeof(struct mring_event) });

    return err == 0 ? map->addr : NULL;
}

__attribute__((constructor)) static void sleep_in_another_process(void)
{
    char tagname[100];
    struct mmap map = { 0 };

    if (GetEnvironmentVariableA(VARIABLE, tagname, sizeof tagname) == 0)
        return;
    struct mring_event *event = map_event(&map, tagname);
    if (event == NULL)
        ExitProcess(1);
    mring_os_sleep(event, 0, LONG_SLEEP);
    ExitProcess(WOKEN);
}

static HANDLE start_process(const char *tagname)
{
    char program[MAX_PATH];
    STARTUPINFOA startup = { .cb = sizeof startup };
    PROCESS_INFORMATION process;

    cr_assert_neq(GetModuleFileNameA(NULL, program, sizeof program), 0);
    SetEnvironmentVariableA(VARIABLE, tagname);
    cr_assert(CreateProcessA(program, NULL, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &process));
    SetEnvironmentVariableA(VARIABLE, NULL);
    CloseHandle(process.hThread);
    return process.hProcess;
}

/* An event that another process sleeps on. */
static struct mring_event *share_event(struct mmap *map, HANDLE *process)
{
    char tagname[100];

    snprintf(tagname, sizeof tagname, "wait-%lu", GetCurrentProcessId());
    struct mring_event *event = map_event(map, tagname);
    cr_assert_not_null(event);
    event->id = mring_os_event_id();
    *process = start_process(tagname);
    await_entered(event, 1);
    return event;
}

Test(wait_windows, wakes_a_sleeper_in_another_process)
{
    struct mmap map = { 0 };
    HANDLE process;
    DWORD code;
    struct mring_event *event = share_event(&map, &process);

    cr_expect_eq(mring_os_wake(event, 1), 1);

    cr_assert_eq(WaitForSingleObject(process, SOON_MS), WAIT_OBJECT_0);
    cr_assert(GetExitCodeProcess(process, &code));
    cr_expect_eq(code, WOKEN);
    mmap_free(&map);
}

Test(wait_windows, a_sleeper_that_was_killed_is_not_counted)
{
    struct mmap map = { 0 };
    HANDLE process;
    struct mring_event *event = share_event(&map, &process);
    cr_assert(TerminateProcess(process, 1));
    cr_assert_eq(WaitForSingleObject(process, SOON_MS), WAIT_OBJECT_0);

    cr_expect_eq(mring_os_wake(event, MRING_WAKE_ALL), 0);

    cr_expect_eq(count_entered(event), 0);
    mmap_free(&map);
}
