/* SPDX-License-Identifier: MIT */
#ifndef MRING_HARNESS_FILTER_H
#define MRING_HARNESS_FILTER_H

#pragma GCC system_header

#include "../posix.h"

struct sock_filter {
    unsigned code, value;
};
struct sock_fprog {
    unsigned short len;
    struct sock_filter *filter;
};

#define BPF_STMT(code, value)                                                                      \
    {                                                                                              \
        code, value                                                                                \
    }
#define BPF_JUMP(code, value, if_true, if_false)                                                   \
    {                                                                                              \
        code, value                                                                                \
    }
enum { BPF_LD, BPF_W, BPF_ABS, BPF_JMP, BPF_JEQ, BPF_K, BPF_RET };

#endif
