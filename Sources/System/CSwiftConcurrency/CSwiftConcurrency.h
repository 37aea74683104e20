#pragma once

// A hook of the Swift runtime (swift/Runtime/Concurrency.h): given every job meant for the global executor, and what would
// run it otherwise. Both are functions of Swift's own calling convention, which Swift cannot import, hence the plain pointer.
extern void *swift_task_enqueueGlobal_hook;

static inline void swift_concurrency_set_global_enqueue(void *enqueue) { swift_task_enqueueGlobal_hook = enqueue; }
