/* SPDX-License-Identifier: MIT */
/* Sockets and events of Windows, where they differ from those of other systems. */
#include <winsock2.h>

#include <mswsock.h>

#include <criterion/criterion.h>
#include <mring/spsc.h>
#include <string.h>

TestSuite(io_windows, .timeout = 20);

/* Two sockets of datagrams on this machine, of which the second sends to the first. */
static void open_pair(SOCKET pair[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int length = sizeof address;
    WSADATA data;

    cr_assert_eq(WSAStartup(MAKEWORD(2, 2), &data), 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pair[0] = socket(AF_INET, SOCK_DGRAM, 0);
    pair[1] = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_eq(bind(pair[0], (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(getsockname(pair[0], (struct sockaddr *)&address, &length), 0);
    cr_assert_eq(connect(pair[1], (struct sockaddr *)&address, sizeof address), 0);
}

static void create(struct mring_spsc *ring)
{
    cr_assert_eq(mring_spsc_create(ring, &(struct mring_args){ .capacity = 65536 }), 0);
}

/* As on other systems; WSAEMSGSIZE says that it was. */
Test(io_windows, a_datagram_for_which_there_is_no_room_is_cut)
{
    struct mring_spsc ring;
    SOCKET pair[2];
    char bytes[20];
    size_t moved = 0;
    create(&ring);
    open_pair(pair);
    cr_assert_eq(send(pair[1], "0123456789", 10, 0), 10);
    cr_assert_eq(send(pair[1], "next", 4, 0), 4);

    cr_expect_eq(mring_spsc_fill_recv(&ring, (int)pair[0], 4, 0, &moved), 0);
    cr_expect_eq(moved, 4);
    cr_expect_eq(mring_spsc_fill_recv(&ring, (int)pair[0], 100, 0, &moved), 0);
    cr_expect_eq(moved, 4);

    cr_expect_eq(mring_spsc_read(&ring, bytes, sizeof bytes), 8);
    cr_expect_eq(memcmp(bytes, "0123next", 8), 0);
    cr_expect_eq(mring_spsc_fill_recv(&ring, (int)pair[0], 100, MSG_TRUNC, &moved),
                 MMAP_INVALID_ARG);
    closesocket(pair[0]);
    closesocket(pair[1]);
    mring_spsc_destroy(&ring);
}

/* What may not be set would never wake anybody. */
Test(io_windows, an_event_has_to_be_one_that_may_be_set_and_stays_set)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, L"Local\\mring-test-io");
    HANDLE closed = CreateEventW(NULL, TRUE, FALSE, NULL);
    struct mring_spsc ring;
    cr_assert(event != NULL && closed != NULL);
    const struct {
        HANDLE handle;
        int err;
    } rows[] = {
        { event, 0 },
        { OpenEventW(EVENT_MODIFY_STATE | 1, FALSE, L"Local\\mring-test-io"), 0 },
        { OpenEventW(SYNCHRONIZE | 1, FALSE, L"Local\\mring-test-io"), ERROR_ACCESS_DENIED },
        { CreateEventW(NULL, FALSE, FALSE, NULL), MMAP_INVALID_ARG },
        { CreateMutexW(NULL, FALSE, NULL), MMAP_INVALID_ARG },
        { closed, ERROR_INVALID_HANDLE },
    };
    create(&ring);
    CloseHandle(closed);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int err = mring_spsc_set_eventfd(&ring, MRING_READ_END, (int)(intptr_t)rows[i].handle);
        cr_expect_eq(err, rows[i].err, "row %zu: %s, %d", i, mmap_errname(err), err);
    }
    mring_spsc_destroy(&ring);
}
