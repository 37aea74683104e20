#pragma once

#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// Variadic in C, and so invisible to Swift.
static inline int linux_set_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }

// Declared for GNU sources only, and so invisible to Swift; 2 is RENAME_EXCHANGE.
static inline int linux_exchange(const char *left, const char *right) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, left, AT_FDCWD, right, 2);
}

// Landlock has no functions in the C library, and its numbers are macros that Swift does not see.

// Every right to change something in the file system that this kernel knows how to take away.
static inline uint64_t linux_landlock_writing(void) {
    long version = syscall(SYS_landlock_create_ruleset, 0, 0, LANDLOCK_CREATE_RULESET_VERSION);
    uint64_t rights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE
        | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG
        | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK
        | LANDLOCK_ACCESS_FS_MAKE_SYM;
    if (version >= 2) rights |= 1ULL << 13; // LANDLOCK_ACCESS_FS_REFER
    if (version >= 3) rights |= 1ULL << 14; // LANDLOCK_ACCESS_FS_TRUNCATE
    return rights;
}

static inline int linux_landlock_create_ruleset(void) {
    struct landlock_ruleset_attr attributes = { .handled_access_fs = linux_landlock_writing() };
    return (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
}

static inline int linux_landlock_allow_writing(int ruleset, int directory) {
    struct landlock_path_beneath_attr rule = { .allowed_access = linux_landlock_writing(), .parent_fd = directory };
    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

static inline int linux_landlock_restrict_self(int ruleset) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}
