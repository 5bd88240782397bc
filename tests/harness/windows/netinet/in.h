/* SPDX-License-Identifier: MIT */
#ifndef MRING_HARNESS_IN_H
#define MRING_HARNESS_IN_H

#pragma GCC system_header

#include "../sys/socket.h"

struct sockaddr_in {
    uint16_t sin_family, sin_port;
    struct {
        uint32_t s_addr;
    } sin_addr;
};

#define INADDR_LOOPBACK 0x7f000001u

LACKS_(uint16_t, htons, uint16_t port)
LACKS_(uint16_t, ntohs, uint16_t port)
LACKS_(uint32_t, htonl, uint32_t address)

#endif
