/* SPDX-License-Identifier: MIT */
#include_next <fcntl.h>

#include "posix.h"
