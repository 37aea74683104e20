#pragma once

#include <signal.h>
#include <sys/prctl.h>

// Variadic in C, and so invisible to Swift.
static inline int linux_set_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }
