/* SPDX-License-Identifier: MIT */
#include_next <sys/stat.h>

#include "../posix.h"
