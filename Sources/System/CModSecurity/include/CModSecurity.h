#ifndef DRAWBRIDGE_CMODSECURITY_H
#define DRAWBRIDGE_CMODSECURITY_H

// libmodsecurity as Firewall uses it. Its C interface tells of matches only as lines of text in which a client's bytes
// stand, and cannot set a variable of one transaction; its C++ interface, which Swift cannot see, does both. Hence this
// compiled shim. No C++ exception leaves it.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A set of rules. Loading is for one thread; afterwards any thread may inspect by it.
typedef struct drawbridge_rules drawbridge_rules;

/// The inspection of one request, for one thread at a time.
typedef struct drawbridge_inspection drawbridge_inspection;

/// A rule that matched, and what that added to the scores. The name is valid as long as the inspection.
typedef struct {
    int64_t rule;
    int64_t score;
    const char *variable;
    size_t variable_length;
} drawbridge_match;

/// NULL for want of memory.
drawbridge_rules *drawbridge_rules_new(void);
void drawbridge_rules_free(drawbridge_rules *rules);

/// Adds the rules of a text without zero bytes. On failure `drawbridge_rules_error` tells file, line and reason, until the
/// next call.
///
/// - Parameter path: the file it was read from, for errors and for the files that rules name.
bool drawbridge_rules_load(drawbridge_rules *rules, const uint8_t *text, size_t length, const char *path);
/// Gives back to the system what reading the files took; to be called after the last one.
void drawbridge_rules_loaded(void);
const char *drawbridge_rules_error(const drawbridge_rules *rules);

/// Begins to inspect; NULL when the library failed. The rules must outlive the inspection.
///
/// - Parameter processor_time: nanoseconds that the search for regular expressions may take.
drawbridge_inspection *drawbridge_inspection_new(drawbridge_rules *rules, uint64_t processor_time);
void drawbridge_inspection_free(drawbridge_inspection *inspection);

// Each gives false when the library failed; nothing is known of the request then.

/// Sets a variable of the collection TX, before anything else.
bool drawbridge_inspection_set(drawbridge_inspection *inspection, const char *name, int64_t value);
bool drawbridge_inspection_connection(drawbridge_inspection *inspection, const char *client, uint16_t port);
bool drawbridge_inspection_line(
    drawbridge_inspection *inspection, const char *method, const uint8_t *target, size_t length, const char *version);
bool drawbridge_inspection_field(
    drawbridge_inspection *inspection, const uint8_t *name, size_t name_length, const uint8_t *value,
    size_t value_length);
/// Runs the rules of phase 1, then those of phase 2 on the content, which may be empty.
bool drawbridge_inspection_run(drawbridge_inspection *inspection, const uint8_t *content, size_t length);

/// Whether every search was done to its end; otherwise rules may have found nothing where there was something.
bool drawbridge_inspection_is_complete(const drawbridge_inspection *inspection);
/// How many searches were bounded.
uint64_t drawbridge_inspection_searches(const drawbridge_inspection *inspection);
/// The status that a rule refused the request with; 0 where none has.
int drawbridge_inspection_refusal(const drawbridge_inspection *inspection);
/// A number in the collection TX; 0 where there is none.
int64_t drawbridge_inspection_get(const drawbridge_inspection *inspection, const char *name);
/// The rules that matched and are logged, in their order, at most `drawbridge_maximum_matches`.
size_t drawbridge_inspection_match_count(const drawbridge_inspection *inspection);
drawbridge_match drawbridge_inspection_match(const drawbridge_inspection *inspection, size_t index);

enum { drawbridge_maximum_matches = 64 };

#ifdef __cplusplus
}
#endif

#endif
