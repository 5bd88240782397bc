/* SPDX-License-Identifier: MIT */
#include_next <pthread.h>

#include "posix.h"

#undef pthread_kill
#undef pthread_sigmask
#define pthread_kill(thread, number)       lacks_("pthread_kill()")
#define pthread_sigmask(how, set, old)     lacks_("pthread_sigmask()")
#define pthread_tryjoin_np(thread, result) ((void)(thread), lacks_("pthread_tryjoin_np()"))
