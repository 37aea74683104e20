#pragma once

#include <stdbool.h>
#include <stdint.h>

// Two words in memory that several processes share, changed as one. Swift's atomics of this width do not exist on Linux for
// a generic x86-64, which is compiled without cmpxchg16b although every such processor since 2006 has it.
typedef struct {
    uint64_t key;
    uint64_t instant;
} __attribute__((aligned(16))) atomic_cell;

static inline uint64_t atomic_cell_key(const atomic_cell *cell) { return __atomic_load_n(&cell->key, __ATOMIC_SEQ_CST); }

static inline uint64_t atomic_cell_instant(const atomic_cell *cell) {
    return __atomic_load_n(&cell->instant, __ATOMIC_SEQ_CST);
}

// Replaces the cell if it is still what was expected, and says whether it was.
//
// On x86-64 the instruction itself: a compiler without -mcx16 calls a library for it, and ThreadSanitizer replaces it by a
// lock that other processes do not see.
static inline bool atomic_cell_exchange(atomic_cell *cell, uint64_t old_key, uint64_t old_instant, uint64_t new_key,
                                        uint64_t new_instant) {
#if defined(__x86_64__)
    bool is_exchanged;
    __asm__ __volatile__("lock cmpxchg16b %1"
                         : "=@ccz"(is_exchanged), "+m"(*cell), "+a"(old_key), "+d"(old_instant)
                         : "b"(new_key), "c"(new_instant)
                         : "memory");
    return is_exchanged;
#else
    unsigned __int128 old = (unsigned __int128)old_instant << 64 | old_key;
    unsigned __int128 new = (unsigned __int128)new_instant << 64 | new_key;
    return __sync_bool_compare_and_swap((unsigned __int128 *)cell, old, new);
#endif
}
